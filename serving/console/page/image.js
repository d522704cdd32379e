// Images as the model takes them: one UINT8 input of height, width and 1 or 3 channels.

// The size, or in words why there is none.
export function inputOf(cascade) {
  const [spec] = cascade.inputs;
  if (cascade.inputs.length !== 1 || spec.datatype !== "UINT8" || spec.shape.length !== 4) {
    const inputs = cascade.inputs.map(
      ({ name, datatype, shape }) => `${name} ${datatype} [${shape.join(", ")}]`,
    );
    return { problem: `This cascade takes ${inputs.join(" and ")}, which is no image.` };
  }
  const [, height, width, channels] = spec.shape;
  if (height < 1 || width < 1 || ![1, 3].includes(channels)) {
    return {
      problem: `This cascade takes images of [${spec.shape.slice(1).join(", ")}], which this page cannot make.`,
    };
  }
  return { name: spec.name, shape: [height, width, channels] };
}

// The middle of a picture, as large as it goes, scaled to the model's input.
export async function rowFromFile(file, { name, shape: [height, width, channels] }) {
  const bitmap = await createImageBitmap(file);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const [wide, high] = [bitmap.width * scale, bitmap.height * scale];
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (width - wide) / 2, (height - high) / 2, wide, high);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint8Array(height * width * channels);
  for (let at = 0; at < height * width; at++) {
    const [red, green, blue] = data.subarray(4 * at, 4 * at + 3);
    if (channels === 1) pixels[at] = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
    else pixels.set([red, green, blue], 3 * at);
  }
  return { name, shape: [height, width, channels], pixels };
}

export function rowsFromSamples({ input, shape, data, labels }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const [rows, ...rowShape] = shape;
  const size = bytes.length / rows;
  return Array.from({ length: rows }, (_, row) => ({
    name: input,
    shape: rowShape,
    pixels: bytes.subarray(row * size, (row + 1) * size),
    label: labels?.[row] ?? null,
  }));
}

export function paint(canvas, { shape: [height, width, channels], pixels }) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let at = 0; at < height * width; at++) {
    const colours =
      channels === 1 ? [pixels[at], pixels[at], pixels[at]] : pixels.subarray(3 * at, 3 * at + 3);
    image.data.set([...colours, 255], 4 * at);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

"use strict";
// Runs the network in the page, which contains all that it needs; nothing is requested.
const engine = (() => {
  const PASSES = 16, BETWEEN_PASSES_MS = 100;
  const textOf = (id) => document.getElementById(id).textContent;
  const facts = JSON.parse(textOf("facts"));
  let session, ort;

  async function unpacked(id) {
    const bytes = Uint8Array.from(atob(textOf(id)), (letter) => letter.charCodeAt(0));
    document.getElementById(id).remove(); // several megabytes of text
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  const pass = () => {
    const { channels, size_px: side } = facts;
    return run({ colours: new Float32Array(channels * side * side).fill(0.5), height: side, width: side });
  };

  // Returns the networks that there are.
  async function open() {
    const address = URL.createObjectURL(new Blob([await unpacked("runtime")], { type: "text/javascript" }));
    ort = await import(address);
    URL.revokeObjectURL(address);
    ort.env.wasm.numThreads = 1; // more need headers of a server
    ort.env.wasm.wasmBinary = await unpacked("wasm");
    session = await ort.InferenceSession.create(await unpacked("model"), {
      executionProviders: ["wasm"],
      graphOptimizationLevel: "all",
      extra: { session: { set_denormal_as_zero: "1" } },
    });
    await pass(); // the first one is slower
    return [facts];
  }

  // Returns the mean value of what the label is made from: a part of the image, or all of it, with
  // a border where it has one.
  function brightness({ colours, height, width }) {
    const side = Math.min(height, width), isCut = facts.resize === "crop";
    const [rows, columns] = isCut ? [side, side] : [height, width];
    const top = (height - rows) >> 1, left = (width - columns) >> 1;
    let sum = 0;
    for (let plane = 0; plane < facts.channels; plane++)
      for (let y = top; y < top + rows; y++)
        for (let x = left; x < left + columns; x++) sum += colours[(plane * height + y) * width + x];
    const mean = sum / (facts.channels * rows * columns);
    const share = facts.resize === "letterbox" ? side / Math.max(height, width) : 1;
    return share * mean + (1 - share) * facts.background;
  }

  // Returns what the brightness of an image makes doubtful, as the package does.
  function doubts(image) {
    const light = facts.brightness;
    if (!light) return [];
    const mean = brightness(image);
    if (mean < light.lowest) return [light.darker];
    return mean > light.highest ? [light.brighter] : [];
  }

  // Runs the network on an image; denoised values are null where it gives none.
  async function run({ colours, height, width }) {
    const noisy = new ort.Tensor("float32", colours, [1, facts.channels, height, width]);
    const start = performance.now();
    const found = await session.run({ noisy });
    const ms = performance.now() - start;
    return {
      ms, height, width,
      warnings: doubts({ colours, height, width }),
      denoised: found.denoised ? found.denoised.data : null,
      probabilities: found.probabilities ? found.probabilities.data : null,
    };
  }

  // Returns the milliseconds of one pass. Browsers make a program faster while it runs: the last
  // passes count.
  async function passMs(inTurn) {
    const times = [];
    for (let i = 0; i < PASSES; i++) {
      times.push((await inTurn(pass)).ms);
      await new Promise((done) => setTimeout(done, BETWEEN_PASSES_MS));
    }
    return times.slice(-5).sort((a, b) => a - b)[2];
  }

  return { open, run, passMs, limit: "a browser has little memory", fault: "a current browser with WebAssembly is needed" };
})();

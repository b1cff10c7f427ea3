"use strict";
// Shows images and what a network makes of them. The engine, which stands before, runs the network.
(() => {
  const byId = (id) => document.getElementById(id);
  const UNKNOWN = "unknown";
  const CAMERA_PX = 640, LEAST_CAMERA_PX = 160; // longest side of a frame: it must keep up
  const SLOWEST_FRAME_MS = 400;
  const NOISE_STEPS = 100;

  let networks = [], facts, channels, noise; // all there are, and the chosen one
  let chosen = null; // the file of the image
  let image = null; // {colours, height, width}: the clean image in the colours of the network
  let result = null; // what the network made of it
  let stream = null;
  let seed = 1, numShown = 0;
  let pending = false, running = false;
  const recentMs = [];

  // The parts of the page -------------------------------------------------------------------

  const middle = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
  const inMs = (ms) => `${ms < 100 ? ms.toPrecision(2) : Math.round(ms)} ms`;
  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  let last = Promise.resolve(); // one image at a time
  const inTurn = (work) => {
    last = last.catch(() => {}).then(work);
    return last;
  };
  const compute = (given) => inTurn(() => engine.run(given, facts, { paint: draw, decoded }));

  function showPass(ms) {
    byId("pass").textContent = inMs(ms);
    byId("pass").classList.toggle("over", facts.target_ms !== null && ms > facts.target_ms);
  }

  // Images ------------------------------------------------------------------------------------

  // As the preparation of the package: alpha over its background, and grey by ITU-R BT.601.
  function coloursOf(rgba, height, width) {
    const count = height * width, colours = new Float32Array(channels * count);
    const weights = [0.299, 0.587, 0.114];
    for (let i = 0; i < count; i++) {
      const alpha = rgba[4 * i + 3] / 255;
      let grey = 0;
      for (let c = 0; c < 3; c++) {
        const value = alpha * (rgba[4 * i + c] / 255) + (1 - alpha) * facts.background;
        if (channels === 3) colours[c * count + i] = value;
        grey += weights[c] * value;
      }
      if (channels === 1) colours[i] = grey;
    }
    return { colours, height, width };
  }

  function drawn(source, width, height, mostPixels) {
    const scale = Math.min(1, Math.sqrt(mostPixels / (width * height)));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(source, 0, 0, canvas.width, canvas.height);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  }

  async function decoded(file) {
    // Stored values count, not those of a colour profile: as in the training.
    const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
    const bitmap = await createImageBitmap(file, options);
    const { width, height } = bitmap;
    const data = drawn(bitmap, width, height, facts.max_pixels);
    bitmap.close();
    const found = coloursOf(data.data, data.height, data.width);
    found.reduced = data.width !== width || data.height !== height;
    return found;
  }

  async function show(file) {
    stop();
    say("");
    chosen = file;
    if (!facts) return; // it is shown as soon as there is a network
    let found;
    try {
      found = await decoded(file);
    } catch {
      say(`${file.name || "This"} is not an image that the browser can read.`);
      return;
    }
    if (found.reduced) say(`The image is shown at ${found.width} × ${found.height}: ${engine.limit}.`);
    image = found;
    if (!found.reduced) image.file = file;
    seed = 1 + Math.floor(Math.random() * 2 ** 31);
    await update();
  }

  // Noise ---------------------------------------------------------------------------------------

  function generator(state) { // mulberry32: small, and the same noise while a slider moves
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  const normal = (uniform) => // Box and Muller
    Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());

  function poisson(mean, uniform) {
    if (mean > 40) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(uniform)));
    let count = 0;
    for (let product = uniform(); product > Math.exp(-mean); product *= uniform()) count++;
    return count;
  }

  function spoil(clean, level, model = noise) {
    if (!model || level === 0) return clean;
    const uniform = generator(seed), noisy = new Float32Array(clean.length);
    for (let i = 0; i < clean.length; i++) {
      const x = clean[i];
      if (model.kind === "gaussian") noisy[i] = x + level * normal(uniform);
      else if (model.kind === "speckle") noisy[i] = x * (1 + level * normal(uniform));
      else if (model.kind === "poisson-gaussian")
        noisy[i] = model.gain * poisson(Math.max(0, x) / model.gain, uniform) + level * normal(uniform);
      else {
        const lot = uniform();
        noisy[i] = lot < level / 2 ? 0 : lot >= 1 - level / 2 ? 1 : x;
      }
    }
    if (model.protocol === "camera")
      for (let i = 0; i < noisy.length; i++) noisy[i] = Math.round(255 * Math.min(1, Math.max(0, noisy[i]))) / 255;
    return noisy;
  }

  const level = () => (noise ? (noise.highest * byId("noise").value) / NOISE_STEPS : 0);

  // What is shown -------------------------------------------------------------------------------

  const say = (text) => { byId("message").textContent = text; };
  const percent = (share) => `${(100 * share).toFixed(share > 0.9995 || share < 0.0005 ? 0 : 1)} %`;

  function draw(canvas, pixels, height, width) {
    const count = height * width, data = new ImageData(width, height);
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < 3; c++) {
        const value = pixels[(channels === 3 ? c * count : 0) + i];
        data.data[4 * i + c] = Math.round(255 * Math.min(1, Math.max(0, value)));
      }
      data.data[4 * i + 3] = 255;
    }
    canvas.width = width;
    canvas.height = height;
    canvas.getContext("2d").putImageData(data, 0, 0);
  }

  function paint(canvas, pixels, height, width) {
    draw(canvas, pixels, height, width);
    // A small image is enlarged, so that it can be seen.
    const factor = Math.max(1, Math.min(6, Math.floor(byId("stage").clientWidth / width), Math.floor((0.7 * innerHeight) / height)));
    canvas.style.width = `${width * factor}px`;
    canvas.classList.toggle("pixels", factor > 1);
  }

  function divide() {
    const canvas = byId("noisy"), share = byId("split").value;
    byId("view").style.setProperty("--cut", `${share}%`);
    const { offsetLeft: left, offsetTop: top, offsetWidth: width, offsetHeight: height } = canvas;
    const place = (element, box) => Object.entries(box).forEach(([name, value]) => { element.style[name] = `${value}px`; });
    place(byId("split"), { left, top, width, height });
    place(byId("divider"), { left: left + (width * share) / 100 - 1, top, height });
    place(byId("tag-before"), { left: left + 8, top: top + 8 });
    byId("tag-after").style.right = `${byId("view").clientWidth - left - width + 8}px`;
    byId("tag-after").style.top = `${top + 8}px`;
  }

  function showLabel() {
    if (!result || !result.probabilities) return;
    byId("label-box").hidden = false;
    const shares = Array.from(result.probabilities, Number);
    const order = shares.map((_, index) => index).sort((a, b) => shares[b] - shares[a]);
    const least = byId("reject").value / 100, best = order[0];
    const known = shares[best] >= least;
    byId("label").textContent = known ? facts.class_names[best] : UNKNOWN;
    byId("label").classList.toggle("unknown", !known);
    byId("doubts").textContent = result.warnings.join(". ");
    byId("reject-shown").textContent = least === 0 ? "never" : percent(least);
    byId("classes").replaceChildren(...order.slice(0, 5).map((index) => {
      const row = document.createElement("li"), name = document.createElement("span"), share = document.createElement("span");
      name.textContent = facts.class_names[index];
      share.textContent = percent(shares[index]);
      row.style.setProperty("--share", `${100 * shares[index]}%`);
      row.append(name, share);
      return row;
    }));
  }

  function showTimes() {
    recentMs.push(result.ms);
    if (recentMs.length > 9) recentMs.shift();
    byId("ms").textContent = inMs(middle(recentMs));
    byId("ms-name").textContent = `this image, ${result.width} × ${result.height}`;
    if (result.passMs) showPass(result.passMs);
  }

  function showResult(noisy) {
    byId("empty").hidden = true;
    byId("view").hidden = false;
    byId("stage").classList.add("full");
    paint(byId("noisy"), noisy, result.height, result.width);
    const compares = Boolean(result.denoised);
    if (compares) paint(byId("denoised"), result.denoised, result.height, result.width);
    for (const id of ["denoised", "divider", "split", "tag-before", "tag-after"]) byId(id).hidden = !compares;
    byId("save").disabled = false;
    divide();
    showLabel();
    showTimes();
    numShown++;
  }

  // One run at a time; what changed meanwhile is run once more.
  async function update() {
    if (!image || !facts) return;
    if (running) { pending = true; return; }
    running = true;
    try {
      do {
        pending = false;
        const { colours, height, width, file } = image;
        if (result && (result.height !== height || result.width !== width)) recentMs.length = 0;
        const noisy = spoil(colours, level());
        result = await compute({ colours: noisy, height, width, file: level() ? null : file });
        result.noisy = noisy;
        showResult(noisy);
      } while (pending);
    } catch (error) {
      say(`The network could not run: ${error.message}`);
    } finally {
      running = false;
    }
  }

  // Camera --------------------------------------------------------------------------------------

  function stop() {
    if (!stream) return;
    for (const track of stream.getTracks()) track.stop();
    stream = null;
    byId("camera").textContent = "Camera";
  }

  async function live() {
    if (stream) { stop(); return; }
    say("");
    const video = byId("video");
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = stream;
      await video.play();
    } catch (error) {
      stop();
      say(`There is no camera here, or it may not be used (${error.name}).`);
      return;
    }
    byId("camera").textContent = "Stop";
    const { videoWidth: width, videoHeight: height } = video;
    const shape = Math.min(width / height, height / width);
    let side = CAMERA_PX;
    while (stream) {
      const data = drawn(video, width, height, Math.min(side ** 2 * shape, facts.max_pixels));
      image = coloursOf(data.data, data.height, data.width);
      seed++;
      await update();
      if (result && result.ms > SLOWEST_FRAME_MS) side = Math.max(LEAST_CAMERA_PX, 0.8 * side);
      await new Promise(requestAnimationFrame);
    }
  }

  // Controls ------------------------------------------------------------------------------------

  function save() {
    const canvas = byId(result.denoised ? "denoised" : "noisy");
    canvas.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${facts.name}-result.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }

  const imageIn = (list) => [...list].find((file) => file.type.startsWith("image/")) || list[0];

  function connect() {
    byId("file").addEventListener("change", (event) => { if (event.target.files.length) show(event.target.files[0]); event.target.value = ""; });
    byId("camera").addEventListener("click", live);
    byId("save").addEventListener("click", save);
    byId("split").addEventListener("input", divide);
    byId("reject").addEventListener("input", showLabel);
    byId("noise").addEventListener("input", () => {
      byId("noise-shown").textContent = level() === 0 ? "none" : `${noise.symbol} ${level().toPrecision(2)}`;
      update();
    });
    new ResizeObserver(divide).observe(byId("view"));
    const stage = byId("stage");
    addEventListener("dragover", (event) => { event.preventDefault(); stage.classList.add("over"); });
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) stage.classList.remove("over"); });
    addEventListener("drop", (event) => {
      event.preventDefault();
      stage.classList.remove("over");
      const file = imageIn(event.dataTransfer.files);
      if (file) show(file);
    });
    addEventListener("paste", (event) => {
      const file = imageIn(event.clipboardData.files);
      if (file) show(file);
    });
  }

  // Chooses one of the networks. An image is converted anew, since colours may differ.
  function use(index) {
    facts = networks[index];
    ({ channels, noise } = facts);
    byId("pass-name").textContent = engine.passMs ? `an image of ${facts.size_px} × ${facts.size_px}` : "network, on the server";
    byId("noise-box").hidden = !noise;
    if (noise) byId("noise-name").textContent = `Added noise (${noise.kind})`;
    byId("budget-box").hidden = facts.target_ms === null;
    if (facts.target_ms !== null) byId("budget").textContent = `${facts.target_ms} ms`;
    byId("label-box").hidden = true;
    result = null;
    image = null;
    return chosen ? show(chosen) : null;
  }

  function offer() {
    byId("network-box").hidden = networks.length < 2;
    byId("network").replaceChildren(...networks.map((one) => {
      const option = document.createElement("option");
      option.textContent = one.name;
      return option;
    }));
    byId("network").addEventListener("change", (event) => use(event.target.selectedIndex));
  }

  connect();
  const ready = engine.open().then((found) => {
    networks = found;
    offer();
    byId("state").textContent = "Ready";
    byId("hint").hidden = false;
    byId("camera").disabled = !(navigator.mediaDevices && navigator.mediaDevices.getUserMedia);
    const shown = use(0); // an image may have been chosen meanwhile
    if (engine.passMs) engine.passMs(inTurn).then(showPass);
    return shown;
  });
  ready.catch((error) => {
    byId("state").textContent = "The network could not be opened";
    say(`${error.message || error} – ${engine.fault}.`);
  });

  // For programs: the same network on raw values, as base64 of float32, channels first.
  const packed = (values) => {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength), parts = [];
    for (let i = 0; i < bytes.length; i += 32768) parts.push(String.fromCharCode(...bytes.subarray(i, i + 32768)));
    return btoa(parts.join(""));
  };
  window.tapetum = {
    ready,
    spoil: (text, level, noise) => packed(spoil(new Float32Array(bytesOf(text).buffer), level, noise)),
    async run(text, height, width) {
      await ready;
      const found = await compute({ colours: new Float32Array(bytesOf(text).buffer), height, width });
      return {
        denoised: found.denoised ? packed(found.denoised) : null,
        probabilities: found.probabilities ? packed(found.probabilities) : null,
      };
    },
    get numShown() { return numShown; },
    get shown() {
      return result && {
        label: byId("label").textContent, ms: result.ms, height: result.height, width: result.width,
        noisy: packed(result.noisy), denoised: result.denoised ? packed(result.denoised) : null,
        probabilities: result.probabilities ? Array.from(result.probabilities) : null,
      };
    },
  };
})();

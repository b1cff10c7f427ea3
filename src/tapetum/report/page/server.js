"use strict";
// Sends images to the server that the page came from.
const engine = (() => {
  const byId = (id) => document.getElementById(id);

  function headers(more = {}) {
    const token = byId("token").value;
    return token ? { ...more, Authorization: `Bearer ${token}` } : more;
  }

  // Asks for a token where the server wants one, as often as it is wrong.
  async function authorised() {
    for (;;) {
      const response = await fetch("v1/models", { headers: headers() });
      if (response.status !== 401) return response;
      byId("state").textContent = byId("token").value ? "The server does not know this token" : "A token is needed";
      byId("token-box").hidden = false;
      byId("token").focus();
      await new Promise((done) => byId("token-box").addEventListener("submit", (event) => { event.preventDefault(); done(); }, { once: true }));
    }
  }

  // Returns the networks that there are.
  async function open() {
    const response = await authorised();
    const found = await response.json();
    if (!response.ok) throw new Error(found.detail);
    byId("token-box").hidden = true;
    const max_pixels = Math.floor(1e6 * found.limits.max_megapixels);
    return found.models.map((model) => ({ ...model, max_pixels, target_ms: null }));
  }

  // A file is sent as it is; other values as an image of 8 bits.
  async function content({ colours, height, width, file }, paint) {
    if (file) return file;
    const canvas = document.createElement("canvas");
    paint(canvas, colours, height, width);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }

  // Runs the network on an image; denoised values are null where it gives none.
  async function run(image, facts, { paint, decoded }) {
    const start = performance.now();
    const body = await content(image, paint);
    const mode = facts.modes.includes("both") ? "both" : facts.modes[0];
    const response = await fetch(`v1/predict?model=${encodeURIComponent(facts.name)}&mode=${mode}`, {
      method: "POST", body, headers: headers({ "Content-Type": body.type || "application/octet-stream" }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.detail);
    const shares = answer.by_class[0];
    const file = answer.image && new Blob([Uint8Array.from(atob(answer.image.base64), (letter) => letter.charCodeAt(0))], { type: answer.image.media_type });
    return {
      ms: performance.now() - start,
      passMs: answer.latency_ms,
      height: answer.height_px, width: answer.width_px,
      warnings: answer.warnings,
      denoised: file ? (await decoded(file)).colours : null,
      probabilities: shares ? facts.class_names.map((name) => shares[name]) : null,
    };
  }

  return { open, run, passMs: null, limit: "the server takes no larger ones", fault: "is the server still there?" };
})();

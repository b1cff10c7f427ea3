"""The page at ``/``."""

from collections.abc import Iterable
from html import escape

__all__ = ["CONTENT_SECURITY_POLICY", "page"]

# The page may run its own script and talk to its own server, and nothing else.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tapetum</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 48rem; padding: 0 1rem }
figure { display: inline-block; margin: 1rem 1rem 0 0 } img { max-width: 100% }
label { display: block; margin: .5rem 0 }
</style>
<h1>Tapetum</h1>
<p>Choose an image. It is denoised and classified by this server.</p>
<label>Model <select id="model">@MODELS@</select></label>
<label>Token, if the server wants one <input id="token" type="password" autocomplete="off"></label>
<label>Image <input id="file" type="file" accept="image/*"></label>
<p id="answer" role="status"></p>
<figure><img id="before" alt=""><figcaption>Before</figcaption></figure>
<figure><img id="after" alt=""><figcaption>After</figcaption></figure>
<p>For programs: <a href="openapi.json">openapi.json</a> describes <code>/v1/predict</code>.</p>
<script>
const by = (id) => document.getElementById(id);
by("file").addEventListener("change", async () => {
  const file = by("file").files[0];
  if (!file) return;
  by("before").src = URL.createObjectURL(file);
  by("after").removeAttribute("src");
  by("answer").textContent = "…";
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  if (by("token").value) headers.Authorization = "Bearer " + by("token").value;
  const model = encodeURIComponent(by("model").value);
  const modes = by("model").selectedOptions[0].dataset.modes.split(" ");
  const mode = modes.includes("both") ? "both" : modes[0];
  try {
    const url = `v1/predict?model=${model}&mode=${mode}&top_k=5`;
    const response = await fetch(url, { method: "POST", headers, body: file });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.detail);
    const classes = Object.entries(answer.by_class[0] || {});
    const shares = classes.map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`);
    by("answer").textContent = [...shares, `${answer.latency_ms.toFixed(1)} ms`].join(" · ");
    const image = answer.image;
    if (image) by("after").src = `data:${image.media_type};base64,${image.base64}`;
  } catch (error) {
    by("answer").textContent = error.message;
  }
});
</script>
"""


def page(models: Iterable[tuple[str, Iterable[str]]]) -> str:
    """Return the page, which sends images to ``/v1/predict`` of its own server.

    The page of ``tapetum export --format html`` can take its place: this is the only function that
    makes a page, and :data:`CONTENT_SECURITY_POLICY` says what it may load.

    Args:
        models: The name of each model, and its modes.
    """
    options = (
        f'<option value="{escape(name)}" data-modes="{escape(" ".join(modes))}">{escape(name)}'
        for name, modes in models
    )
    return _PAGE.replace("@MODELS@", "".join(options))

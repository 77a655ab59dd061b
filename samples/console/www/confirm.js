// Counts down to the return of the old network settings. When they are back, opens the page that says so.
const left = document.getElementById("left"), end = performance.now() + 1000 * left.textContent
const check = () => fetch(new URL("icon.svg", import.meta.url), {cache: "no-store", signal: AbortSignal.timeout(900)})
setInterval(() => {
  left.textContent = Math.max(0, Math.ceil((end - performance.now()) / 1000))
  if (performance.now() > end + 1500) check().then(() => location = new URL("../settings", import.meta.url), () => 0)
}, 1000)

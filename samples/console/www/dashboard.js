const state = document.getElementById("state"), values = new EventSource(new URL("../values", import.meta.url))
let curve, pointer  // the curve under the pointer, and the x coordinate of the pointer

// A screen reader reads each change.
const say = (textContent, className) => state.className == className || Object.assign(state, {textContent, className})

values.onopen = () => say("Live", "corner live")
values.onerror = () => values.readyState == EventSource.CLOSED
  ? location.assign(new URL("..", import.meta.url))  // the session has ended
  : say("No connection; trying again", "corner lost")
values.onmessage = event => {  // updates the contents of the cards, and keeps the cards themselves
  const latest = new DOMParser().parseFromString(event.data, "text/html")
  for (const element of latest.querySelectorAll("[id]:not(section)")) {
    const old = document.getElementById(element.id)  // null for a new element, such as that of a new interface
    for (const {name, value} of element.attributes) old?.setAttribute(name, value)
    old?.replaceChildren(...element.childNodes)
  }
  read()
}

function text(n, unit) {
  if (unit != "B/s") return n.toFixed(unit == "%" ? 0 : 1) + " " + unit
  const power = [1e3, 1e6, 1e9].findLastIndex(limit => n >= limit * 0.9995) + 1
  return (power ? (n / 1000 ** power).toPrecision(3) : n.toFixed()) + " " + ["B/s", "KB/s", "MB/s", "GB/s"][power]
}

function read() {  // shows the values at the pointer; each point of a curve's path is "x y"
  if (!curve) return
  const picture = curve.querySelector("svg"), tip = curve.querySelector("output")
  const {left, width} = picture.getBoundingClientRect(), {top, unit, time} = curve.querySelector(".scale").dataset
  const share = Math.max(0, Math.min(1, (pointer - left) / width)), x = Math.round(1 + 178 * share)
  const found = [...picture.querySelectorAll("[id]:not(.area)")].map((path, i, {length}) => {
    const points = path.getAttribute("d").slice(1).split("L").map(point => point.split(" ").map(parseFloat))
    const y = points.find(point => point[0] == x)?.[1]
    return y == null ? "no value" : (length > 1 ? "↓↑"[i] + " " : "") + text((100 - y) / 100 * top, unit)
  })
  const then = new Date(Date.parse(`2000-01-02T${time}Z`) - 1e4 * (179 - x))  // a time of the device's clock
  picture.querySelector(".pointer").setAttribute("d", `M${x} 0V100`)
  Object.assign(tip, {hidden: false, textContent: `${then.toISOString().slice(11, 19)}  ${found.join("  ")}`})
  Object.assign(tip.style, {left: `${100 * share}%`, translate: `${-100 * share}%`})
}

onpointermove = onpointerdown = ({target, clientX}) => {
  if (curve) curve.querySelector("output").hidden = true
  ;[curve, pointer] = [target.closest?.(".curve"), clientX]
  read()
}
onpagehide = () => values.close()  // otherwise the browser would keep the page, with its stream, for the Back button
onpageshow = event => event.persisted && location.assign(new URL("..", import.meta.url))

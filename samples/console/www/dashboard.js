const at = selector => document.querySelector(selector), state = at("#state"), values = new EventSource("values")
let history = {}, step

function draw(card, curves, most) {
  const high = most || Math.max(1, ...curves.flat())
  card.querySelectorAll(".line").forEach((line, i) => {
    const start = 180 - curves[i].length, path = curves[i].map((value, n) => `${start + n} ${(39 - 37 * Math.min(1, value / high)).toFixed(1)}`).join("L")
    line.setAttribute("d", "M" + path)
    line.previousElementSibling.setAttribute("d", `M${path}V40H${start}Z`)
  })
}

function say(text, kind) {
  if (state.textContent != text) Object.assign(state, {textContent: text, className: kind})
}

values.onopen = () => say("Live · 30 min", "live")
values.onerror = () => values.readyState == EventSource.CLOSED ? location.assign("./") : say("No connection; trying again", "lost")  // closed: the session has ended
values.onmessage = event => {
  const now = JSON.parse(event.data)
  history = now.history || history
  for (const [name, [text, detail, numbers, most]] of Object.entries(now.cards)) {
    const card = at(`[data-name="${CSS.escape(name)}"]`)
    if (!card) continue  // such as an interface that is new
    const curves = numbers.map((value, i) => {
      const points = history[`${name} ${i}`] ||= []
      if (now.history || now.step == step) points.pop()  // the last point is still moving
      points.push(value)
      return history[`${name} ${i}`] = points.slice(-180)
    })
    card.querySelector(".number").textContent = text
    card.querySelector(".detail").textContent = detail || "\u00a0"
    if (most) card.querySelector(".level").style.strokeDasharray = `${100 * numbers[0] / most} 100`
    draw(card, curves, most)
  }
  for (const [name, text] of Object.entries(now.facts)) at(`[data-fact="${name}"]`)?.replaceChildren(text)
  step = now.step
}
onpagehide = () => values.close()  // browsers keep pages, and their streams, for the button Back
onpageshow = event => event.persisted && location.assign("./")

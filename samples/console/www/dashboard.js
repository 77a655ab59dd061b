const at = id => document.getElementById(id), past = {}

function show(name, text, value, most) {
  const id = "value " + name
  if (!at(id)) {
    at("values").append(at("value").content.cloneNode(true))
    at("values").lastElementChild.id = id
    at(id).querySelector("dt").textContent = name
    past[name] = []
  }
  if (past[name].push(value) > 60) past[name].shift()
  const scale = 18 / (most || Math.max(1, ...past[name]))
  at(id).querySelector("dd").textContent = text
  at(id).querySelector("polyline").setAttribute("points", past[name].map((v, i) => `${i},${19 - v * scale}`).join(" "))
}

function bytes(n, [unit, ...larger] = ["B", "KB", "MB", "GB", "TB"]) {
  return n < 1000 || !larger.length ? Number(n.toFixed(1)) + " " + unit : bytes(n / 1000, larger)
}

const values = new EventSource("values"), lost = () => at("uptime").textContent = "No connection; trying again."
values.onerror = () => values.readyState == EventSource.CLOSED ? location.assign("./") : lost()  // closed: the session has ended
values.onmessage = event => {
  const now = JSON.parse(event.data), minutes = Math.floor(now.uptime / 60)
  at("uptime").textContent = `Up ${Math.floor(minutes / 1440)} d ${Math.floor(minutes / 60) % 24} h ${minutes % 60} min`
  show("CPU", now.cpu.toFixed() + " %", now.cpu, 100)
  for (const [name, [used, all]] of Object.entries(now.space)) show(name, `${bytes(used)} of ${bytes(all)}`, used, all)
  for (const [name, degrees] of Object.entries(now.temperatures)) show(name, degrees.toFixed(1) + " °C", degrees, 100)
  for (const [name, [down, up]] of Object.entries(now.network)) show(name, `↓ ${bytes(down)}/s ↑ ${bytes(up)}/s`, down + up)
}
onpagehide = () => values.close()  // browsers keep pages, and their streams, for the button Back
onpageshow = event => event.persisted && location.assign("./")

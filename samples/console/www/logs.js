const MOST = 500, form = document.getElementById("find"), lines = document.getElementById("lines")
const count = document.getElementById("count"), state = document.getElementById("state")
const pause = document.getElementById("pause"), search = form.search.value.trim().toLowerCase()
const stream = new EventSource(new URL("../logs/live?log=" + encodeURIComponent(form.log.value), import.meta.url))
let held = [], paused = false

function show() {  // each line is a separate text node
  const atEnd = lines.scrollTop + lines.clientHeight > lines.scrollHeight - 9
  if (!paused) lines.append(...held.splice(0))
  while (lines.childNodes.length > MOST) lines.firstChild.remove()
  if (atEnd) lines.scrollTop = lines.scrollHeight
  const number = lines.childNodes.length, connected = stream.readyState == EventSource.OPEN
  count.textContent = number == MOST ? `The last ${MOST} lines` : number == 1 ? "1 line" : `${number || "No"} lines`
  state.className = paused ? "paused" : connected ? "live" : "lost"
  state.textContent = paused ? `Paused, ${held.length} new` : connected ? "Following" : "No connection; trying again"
  pause.textContent = paused ? "Follow" : "Pause"
}

if (lines.textContent) lines.replaceChildren(...lines.textContent.split("\n").map(line => line + "\n"))
stream.onopen = stream.onerror = show
stream.onmessage = event => {
  if (!event.data.toLowerCase().includes(search)) return
  held = [...held, event.data + "\n"].slice(-MOST)
  show()
}
pause.onclick = () => { paused = !paused; show() }
form.log.onchange = () => form.submit()
show()
lines.scrollTop = lines.scrollHeight
onpagehide = () => stream.close()  // otherwise the browser would keep the page, with its stream, for the Back button
onpageshow = event => event.persisted && location.reload()

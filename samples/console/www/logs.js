const form = document.getElementById("find"), lines = document.getElementById("lines")
const search = form.search.value.trim().toLowerCase()
const stream = new EventSource("logs/live?log=" + encodeURIComponent(form.log.value))
stream.onmessage = event => {
  if (!event.data.toLowerCase().includes(search)) return
  const atEnd = lines.scrollTop + lines.clientHeight > lines.scrollHeight - 9
  lines.append("\n" + event.data)
  if (lines.childNodes.length > 500) lines.firstChild.remove()
  if (atEnd) lines.scrollTop = lines.scrollHeight
}
form.log.onchange = () => form.submit()
lines.scrollTop = lines.scrollHeight
onpagehide = () => stream.close()  // browsers keep pages, and their streams, for the button Back
onpageshow = event => event.persisted && location.reload()

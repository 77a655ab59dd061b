const form = document.getElementById("send"), bar = form.querySelector("progress"), message = form.querySelector("[role=alert]")
const button = form.querySelector("button")
let id
const stream = new EventSource("firmware-progress")
stream.onmessage = event => {  // what is on the disk
  const {id: its, received, size} = JSON.parse(event.data)
  if (its == id) Object.assign(bar, {hidden: false, max: size, value: received})
}
onpagehide = () => stream.close()
form.onsubmit = event => {
  event.preventDefault()
  id = "page-" + Math.random().toString(36).slice(2)
  const request = new XMLHttpRequest()
  request.open("POST", form.action + "?id=" + id)
  request.onload = () => {
    if (request.status == 401) return location.reload()  // the session has ended
    const answer = new DOMParser().parseFromString(request.responseText, "text/html"), page = answer.querySelector("main")
    if (page) document.querySelector("main").replaceWith(page)
    else fail(answer.body.textContent)
  }
  request.onerror = () => fail("The connection broke off.")
  request.send(new FormData(form))
  message.hidden = button.disabled = true
}
function fail(text) {  // the form stays, for another try
  Object.assign(message, {hidden: false, textContent: "Not installed: " + text})
  bar.hidden = true
  id = ""  // events of this upload may still come
  button.disabled = false
}

const form = document.getElementById("send"), bar = form.querySelector("progress"), id = "page-" + Math.random().toString(36).slice(2)
const stream = new EventSource("firmware-progress")
stream.onmessage = event => {  // what is on the disk
  const {id: its, received, size} = JSON.parse(event.data)
  if (its == id) Object.assign(bar, {hidden: false, max: size, value: received})
}
onpagehide = () => stream.close()
form.onsubmit = event => {
  event.preventDefault()
  const request = new XMLHttpRequest()
  request.open("POST", form.action + "?id=" + id)
  request.onload = () => {
    const answer = new DOMParser().parseFromString(request.responseText, "text/html")
    document.querySelector("main").replaceWith(answer.querySelector("main") || answer.body.textContent)
  }
  request.onerror = () => bar.replaceWith("The connection broke off.")
  request.send(new FormData(form))
}

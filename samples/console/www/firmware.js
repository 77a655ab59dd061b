const form = document.getElementById("send"), bar = form.querySelector("progress"), message = form.querySelector("[role=alert]")
const button = form.querySelector("button")
form.onsubmit = event => {
  event.preventDefault()
  const request = new XMLHttpRequest()
  request.open("POST", form.action)
  request.upload.onprogress = ({loaded, total}) => Object.assign(bar, {hidden: false, max: total, value: loaded})
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
  button.disabled = false
}

const form = document.getElementById("send"), button = form.querySelector("button")
const bar = form.querySelector("progress"), message = form.querySelector("[role=alert]")

form.onsubmit = event => {
  event.preventDefault()
  const request = new XMLHttpRequest()
  request.open("POST", form.action)
  request.responseType = "document"
  request.overrideMimeType("text/html")
  request.upload.onprogress = ({loaded, total}) => Object.assign(bar, {hidden: false, max: total, value: loaded})
  request.onloadend = () => {
    const page = request.response?.querySelector("main"), problem = request.response?.body.textContent
    if (request.status == 401) return location.reload()  // the session has ended
    if (page) return document.querySelector("main").replaceWith(page)
    // the form stays, for another try
    message.textContent = "Not installed: " + (problem || "the connection broke off")
    bar.hidden = true
    button.disabled = false
  }
  request.send(new FormData(form))
  message.textContent = ""
  button.disabled = true
}

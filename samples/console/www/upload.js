// Sends forms with a file, and shows the progress. If the server rejects the file, the page keeps the form and its
// file.
addEventListener("submit", event => {
  const form = event.target, bar = form.querySelector("progress"), message = form.querySelector("[role=alert]")
  if (form.enctype != "multipart/form-data") return
  event.preventDefault()
  const request = new XMLHttpRequest()
  request.open("POST", form.action)
  request.responseType = "document"
  request.overrideMimeType("text/html")
  request.upload.onprogress = ({loaded, total}) => Object.assign(bar, {hidden: false, max: total, value: loaded})
  request.onloadend = () => {
    bar.hidden = true
    form.querySelector("button").disabled = false
    const page = request.response, main = page?.querySelector("main")
    if (request.status == 401) return location.reload()  // the session has ended
    if (request.status == 200 && request.responseURL != form.action) return location.assign(request.responseURL)
    if (request.status == 200 && main) return document.querySelector("main").replaceWith(main) || main.focus()
    const alerts = [...page?.querySelectorAll("[role=alert]") || []].map(alert => alert.textContent).join(" ").trim()
    message.textContent = alerts || form.dataset.failed + (page?.body.textContent || "the connection broke off")
  }
  request.send(new FormData(form))
  message.textContent = ""
  form.querySelector("button").disabled = true
})

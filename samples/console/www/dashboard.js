const state = document.getElementById("state"), values = new EventSource("/values")

function say(textContent, className) {  // a screen reader reads each change
  if (state.textContent != textContent) Object.assign(state, {textContent, className})
}

values.onopen = () => say("Live · 30 min", "live")
values.onerror = () => {
  if (values.readyState == EventSource.CLOSED) location.assign("/")  // the session has ended
  else say("No connection; trying again", "lost")
}
values.onmessage = event => {
  for (const [key, value] of Object.entries(JSON.parse(event.data))) {
    const [id, attribute] = key.split("@"), element = document.getElementById(id)  // none: such as an interface that is new
    if (attribute) element?.setAttribute(attribute, value)
    else element?.replaceChildren(value)
  }
}
onpagehide = () => values.close()  // browsers keep pages, and their streams, for the button Back
onpageshow = event => event.persisted && location.assign("/")

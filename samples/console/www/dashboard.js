const state = document.getElementById("state"), values = new EventSource("/values")

function say(textContent, className) {
  if (state.className != className) Object.assign(state, {textContent, className})  // a screen reader reads each change
}

values.onopen = () => say("Live · 30 min", "live")
values.onerror = () => {
  if (values.readyState == EventSource.CLOSED) location.assign("/")  // the session has ended
  else say("No connection; trying again", "lost")
}
values.onmessage = event => {  // cards stay, and what is in them changes
  const latest = new DOMParser().parseFromString(event.data, "text/html")
  for (const element of latest.querySelectorAll("[id]:not(section)")) {
    const old = document.getElementById(element.id)  // null: such as an interface that is new
    for (const {name, value} of element.attributes) old?.setAttribute(name, value)
    old?.replaceChildren(...element.childNodes)
  }
}
onpagehide = () => values.close()  // browsers keep pages, and their streams, for the button Back
onpageshow = event => event.persisted && location.assign("/")

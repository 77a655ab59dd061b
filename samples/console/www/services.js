const search = document.getElementById("search")
search.oninput = () => {
  for (const row of document.querySelectorAll("[data-name]"))
    row.hidden = !row.dataset.name.toLowerCase().includes(search.value.trim().toLowerCase())
}
search.form.onsubmit = event => event.preventDefault()  // the rows are shown already
addEventListener("formdata", event => event.formData.set("search", search.value))  // of a button

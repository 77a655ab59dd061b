const search = document.getElementById("search")
search.oninput = () => {
  for (const row of document.querySelectorAll("[data-name]"))
    row.hidden = !row.dataset.name.toLowerCase().includes(search.value.trim().toLowerCase())
}
search.form.onsubmit = event => event.preventDefault()  // nothing to send, because the rows are already filtered
addEventListener("formdata", event => event.formData.set("search", search.value))  // a button's form keeps the search

const search = document.getElementById("search"), rows = [...document.querySelectorAll("[data-name]")]
const lacks = text => !text.toLowerCase().includes(search.value.trim().toLowerCase())
search.oninput = () => rows.forEach(row => row.hidden = lacks(row.dataset.name))
search.form.onsubmit = event => event.preventDefault()  // nothing to send, because the rows are already filtered
addEventListener("formdata", event => event.formData.set("search", search.value))  // a button's form keeps the search

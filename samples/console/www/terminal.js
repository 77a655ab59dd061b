// A terminal for what shells, editors and pagers use of xterm. A row is an element with cells: [character, classes]. The last ones are on
// the screen, the others above it. Rows that may have changed are drawn once per frame.
const TOKEN = /\x1b\[([?>=]?)([\d;:]*)[ -/]*([@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|(\x1b[ -/]*[^ -/[\]PX^_]|[\0-\x1a\x1c-\x1f\x7f])|([^\0-\x1f\x7f]+)/y
const KEYS = {Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", Delete: "\x1b[3~", PageUp: "\x1b[5~", PageDown: "\x1b[6~"}
const MOVES = {ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D", Home: "H", End: "F"}
const screen = document.getElementById("screen"), input = screen.querySelector("textarea"), view = screen.querySelector("div")
const keys = document.getElementById("keys"), control = keys.querySelector("[data-key=Control]"), decoder = new TextDecoder()
let rows = 24, columns = 80, x, y, top, bottom, saved, style, modes, main, changed = new Set(), last = "", rest = "", drawing
let socket, tries = 0, quiet

const SEQUENCES = {  // n is the first number, p all of them
  A: n => move(y - n, x), B: n => move(y + n, x), C: n => move(y, x + n), D: n => move(y, x - n), G: n => move(y, n - 1),
  H: (n, p) => move(n - 1, (p[1] || 1) - 1), d: n => move(n - 1, x), Z: () => move(y, (x - 1) & ~7),
  K: (n, p) => erase(y, p[0] ? 0 : x, p[0] == 1 ? x + 1 : columns), X: n => erase(y, x, x + n),
  J: (n, p) => {
    SEQUENCES.K(n, p)
    for (let i = p[0] ? 0 : y + 1; i < (p[0] == 1 ? y : rows); i++) erase(i, 0, columns)
  },
  L: n => scroll(-n, y), M: n => scroll(n, y), S: n => scroll(n, top), T: n => scroll(-n, top), b: n => print(last.repeat(n)),
  P: n => row(y).cells.splice(x, n), "@": n => row(y).cells.splice(x, 0, ...Array(n)), m: (n, p) => paint(p),
  r: (n, p) => { [top, bottom] = [n - 1, Math.min(p[1] || rows, rows) - 1]; move(0, 0) },
  c: () => type("\x1b[?6c"), n: n => n == 6 && type(`\x1b[${y + 1};${x + 1}R`), "\x1bc": reset, "\x1b7": () => saved = [y, x],
  "\x1b8": () => move(...saved), "\x1bD": feed, "\x1bM": () => y == top ? scroll(-1, top) : move(y - 1, x), "\n": feed,
  "\r": () => x = 0, "\b": () => move(y, Math.min(x, columns - 1) - 1), "\t": () => move(y, (x | 7) + 1),
}

function write(text) {
  text = rest + text
  let at = TOKEN.lastIndex = 0
  for (let found; (found = TOKEN.exec(text)); at = TOKEN.lastIndex) {
    const [, mark, numbers, final, control, plain] = found, all = (numbers || "").split(/[;:]/).map(Number)
    if (plain) print(plain)
    else if (mark == "?" && "hl".includes(final)) all.forEach(number => mode(number, final == "h"))
    else if (!mark) SEQUENCES[final || control]?.(Math.min(all[0] || 1, 999), all)
  }
  rest = text.length - at < 4096 ? text.slice(at) : ""  // the beginning of a sequence
  drawing ||= requestAnimationFrame(draw)
}

function print(text) {
  for (last of text) {
    if (x >= columns) { x = 0; feed() }
    row(y).cells[x++] = [last, Object.values(style).join(" ")]
  }
}

function draw() {
  drawing = 0
  const cursor = row(y)
  for (const one of changed) {
    const marked = one == cursor && modes[25] !== false ? Math.min(x, columns - 1) : -1
    one.replaceChildren()
    for (let i = 0; i < columns && i <= Math.max(one.cells.findLastIndex(Boolean), marked); i++) {
      const [text, classes] = one.cells[i] || [" ", ""], className = i == marked ? "cursor" : classes
      if (one.lastChild?.className !== className) one.append(Object.assign(document.createElement("span"), {className}))
      one.lastChild.textContent += text
    }
  }
  changed = new Set([cursor])
  screen.scrollTop = screen.scrollHeight
}

function row(i) {
  const one = view.children[view.children.length - rows + i]
  changed.add(one)
  return one
}

const blank = () => Object.assign(document.createElement("div"), {cells: []})

function erase(i, from, to) {
  for (; from < Math.min(to, columns); from++) row(i).cells[from] = style.back && [" ", style.back]
}

function move(row, column) {
  y = Math.max(0, Math.min(row, rows - 1))
  x = Math.max(0, Math.min(column, columns - 1))
}

function feed() { y == bottom ? scroll(1, top) : move(y + 1, x) }

function scroll(n, from) {  // up, or down if n is negative: the rows from there to the end of the region
  for (let i = Math.min(Math.abs(n), rows); i && from >= top && from <= bottom; i--) {
    const [old, place] = n > 0 ? [row(from), row(bottom)] : [row(bottom), row(from)]
    place[n > 0 ? "after" : "before"](blank())
    const gone = n < 0 || from || main ? old : view.children.length > rows + 300 && view.firstChild
    if (gone) gone.remove(changed.delete(gone))
  }
}

function fill(cursor, column = x) {  // makes as many rows as the screen has; the cursor stays in its row
  while (view.children.length < rows) view.append(blank())
  top = 0
  bottom = rows - 1
  move([...view.children].indexOf(cursor) - view.children.length + rows, column)
}

function reset() {
  [style, modes, saved, main] = [{}, {}, [0, 0], null]
  view.replaceChildren()
  fill(null, 0)
}

function mode(number, on) {
  modes[number] = on
  if (number != 1049 || on == Boolean(main)) return
  const [cursor, column, ...kept] = main || []
  main = on && [row(y), x, ...view.children]  // editors have a screen beside the main one
  view.replaceChildren(...kept)
  fill(cursor, column)
}

function paint(numbers) {  // a style has classes of the style sheet, such as s31 for red; there are none for resets, such as s39
  for (let i = 0; i < numbers.length; i++) {
    const n = numbers[i]
    if (n == 38 || n == 48) i += numbers[i + 1] == 5 ? 2 : 4  // a color that TERM=xterm does not have
    else if (n) style[n > 29 ? n % 60 < 40 ? "front" : "back" : Math.max(2, n % 20)] = "s" + n
    else style = {}
  }
}

function key({key, ctrlKey, altKey, metaKey, shiftKey}) {  // what a key sends that is neither text nor one of the browser's
  if (metaKey || ctrlKey && altKey || shiftKey && (ctrlKey || key == "Tab")) return ""
  if (ctrlKey && /^[a-z@[\\\]^_ ]$/i.test(key)) return String.fromCharCode(key.toUpperCase().charCodeAt(0) & 31)
  if (altKey && key.length == 1) return "\x1b" + key
  return KEYS[key] || MOVES[key] && (modes[1] ? "\x1bO" : "\x1b[") + MOVES[key] || ""
}

function connect() {
  sessionStorage.shell ||= crypto.getRandomValues(new BigUint64Array(2)).join("")
  socket = new WebSocket(new URL("terminal/shell?" + sessionStorage.shell, location).href.replace("http", "ws"))
  socket.binaryType = "arraybuffer"
  socket.onopen = fit
  quiet = true  // the first message is what the shell has printed before; its questions were answered then
  socket.onmessage = ({data}) => {
    write(decoder.decode(data, {stream: true}))
    quiet = tries = 0
  }
  socket.onclose = ({code}) => {  // the shell outlives the connection, unless it has ended: 1000
    if (code != 1000 && tries++ < 6) return setTimeout(connect, 150 << tries)
    tries = 0
    write("\x1b[0m\r\nNo shell is connected. Enter starts one.\r\n")
  }
}

function type(text) {
  if (text && socket.readyState == WebSocket.OPEN && !quiet) socket.send("k" + text)
  else if (text == "\r" && socket.readyState == WebSocket.CLOSED && !tries) connect()
}

function fit() {
  const {width, height} = input.getBoundingClientRect(), cursor = row(y), before = rows
  rows = Math.max(2, Math.floor(screen.clientHeight / height))
  columns = Math.max(20, Math.floor(screen.clientWidth / width) - 1)
  for (let i = rows; i < before && view.lastChild != cursor; i++) view.lastChild.remove()
  fill(cursor)
  write("")
  if (socket.readyState == WebSocket.OPEN) socket.send(`s${rows} ${columns}`)
}

function enter() {  // text from the keyboard, also from one on the screen, and from the clipboard
  type(control.ariaPressed == "true" ? key({key: input.value, ctrlKey: true}) : input.value.replace(/\r?\n/g, "\r"))
  input.value = control.ariaPressed = ""
}

input.oninput = event => event.isComposing || enter()
input.oncompositionend = enter
input.onkeydown = event => {
  const text = event.isComposing ? "" : key(event)
  if (text) event.preventDefault()
  type(text)
}
screen.onclick = () => getSelection().isCollapsed && input.focus({preventScroll: true})
keys.onclick = ({target: {dataset}}) => {
  if (dataset.key == "Control") control.ariaPressed = control.ariaPressed != "true"
  else type(key(dataset))
  input.focus({preventScroll: true})
}
onpagehide = () => { socket.onclose = null; socket.close() }  // browsers keep pages, and their WebSockets, for the button Back
onpageshow = event => event.persisted && connect()
reset()
connect()
new ResizeObserver(fit).observe(screen)
input.focus()

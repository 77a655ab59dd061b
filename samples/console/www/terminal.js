// A terminal that supports the control sequences of TERM=xterm, which infocmp lists.
// A row is an array of [character, classes]. The rows of the screen are drawn at most once per frame.
const TOKEN = new RegExp([
  /\x1b\[(?<mark>[?>=!]?)(?<numbers>[\d;:]*)[ -/]*(?<final>[@-~])/,
  /\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)/,  // ignored sequences, such as the window's title
  /(?<control>\x1b[ -/]*[0-~]|[\0-\x1f\x7f])/,
  /(?<plain>[^\0-\x1f\x7f]+)/,
].map(part => part.source).join("|"), "g")
const UNFINISHED = /\x1b(?:\[[?>=!]?[\d;:]*[ -/]*|[\]PX^_][^\x07\x1b]{0,4096}\x1b?|[ -/]+)?$/
const SEQUENCES = {  // n is the first number, or 1 if it is missing or 0; p is the array of all numbers
  A: n => move(y - n, x), B: n => move(y + n, x), C: n => move(y, x + n), D: n => move(y, x - n),
  G: n => move(y, n - 1), d: n => move(n - 1, x), H: (n, p) => move(n - 1, (p[1] || 1) - 1),
  J: (n, p) => erase(p[0], 0, rows * columns), K: (n, p) => erase(p[0], y * columns, (y + 1) * columns),
  X: n => clear(y * columns + x, y * columns + Math.min(x + n, columns)), P: n => lines[y].splice(x, n),
  "@": n => { lines[y].splice(x, 0, ...Array(n)); lines[y].splice(columns) }, b: n => print(last.repeat(n)),
  L: n => scroll(-n, y), M: n => scroll(n, y), S: n => scroll(n, top), T: n => scroll(-n, top),
  r: (n, p) => { top = Math.min(n, rows) - 1; bottom = Math.min(p[1] || rows, rows) - 1; move(0, 0) },
  "\n": () => feed(), "\x1bM": () => y == top ? scroll(-1, top) : move(y - 1, x), "\r": () => x = 0,
  "\b": () => move(y, clamp(x, columns) - 1), "\t": () => move(y, (x | 7) + 1),
  Z: n => move(y, 8 * (Math.ceil(x / 8) - n)), "\x1b7": () => saved = [y, x], "\x1b8": () => move(...saved),
  m: (n, p) => paint(p), n: n => n == 6 && type(`\x1b[${y + 1};${x + 1}R`), "\x1bc": () => reset(),
  "?h": (n, p) => p.forEach(one => mode(one, true)), "?l": (n, p) => p.forEach(one => mode(one, false)),
}
const KEYS = {Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b",
  Insert: "\x1b[2~", Delete: "\x1b[3~", PageUp: "\x1b[5~", PageDown: "\x1b[6~"}
const MOVES = {ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D", Home: "H", End: "F"}
const ENDS = {1000: "The shell has ended. Enter starts another one.", 4000: "No shell has started. Enter tries again."}
const screen = document.getElementById("screen"), input = screen.querySelector("textarea")
const [past, present] = screen.querySelectorAll("div"), keys = document.getElementById("keys")
const control = keys.querySelector("[data-key=Control]"), decoder = new TextDecoder()
let rows, columns, lines, x, y, top, bottom, saved, style, modes, main  // the main screen while an editor uses another
let last = "", rest = "", drawing, socket, tries = 0, ended

function reset() {
  past.replaceChildren()
  ;[lines, main, x, y, saved, style, modes, top, bottom] = [empty(), null, 0, 0, [0, 0], {}, {}, 0, rows - 1]
}

function empty() { return Array.from({length: rows}, () => []) }

function write(text) {
  text = rest + text
  rest = text.match(UNFINISHED)?.[0] || ""
  for (const {groups} of text.slice(0, text.length - rest.length).matchAll(TOKEN)) {
    const {plain, control, mark, numbers, final} = groups, all = (numbers || "").split(/[;:]/).map(Number)
    if (plain) print(plain)
    else SEQUENCES[control || mark + final]?.(Math.min(all[0] || 1, 999), all)
  }
  drawing ||= requestAnimationFrame(draw)
}

function print(text) {
  for (last of text) {
    if (x >= columns) { x = 0; feed() }
    lines[y][x++] = [last, Object.values(style).join(" ")]
  }
}

function clamp(n, size) { return Math.max(0, Math.min(n, size - 1)) }

function move(row, column) { [y, x] = [clamp(row, rows), clamp(column, columns)] }

function feed() { y == bottom ? scroll(1, top) : move(y + 1, x) }

function scroll(n, from) {  // scrolls the rows from row "from" to the end of the region up by n, or down if n < 0
  for (let i = Math.min(Math.abs(n), rows); i && from >= top && from <= bottom; i--) {
    const [old] = lines.splice(n < 0 ? bottom : from, 1)
    lines.splice(n < 0 ? from : bottom, 0, [])
    if (n > 0 && !from && !main) past.append(render(old))
    if (past.childElementCount > 300) past.firstChild.remove()
  }
}

// part is 0: from the cursor on; 1: up to the cursor; otherwise: all
function erase(part, start, end, here = y * columns + clamp(x, columns)) {
  clear(part ? start : here, part == 1 ? here + 1 : end)
}

function clear(start, end) {
  for (let i = start; i < end; i++) lines[Math.floor(i / columns)][i % columns] = style.back && [" ", style.back]
}

function mode(number, on) {
  modes[number] = on
  if (number != 1049 || on == Boolean(main)) return
  ;[main, lines, y, x] = on ? [[lines, y, x], empty(), y, x] : [null, ...main]
}

function paint(numbers) {  // each style is a class in the style sheet, such as s31 for red
  for (let i = 0; i < numbers.length; i++) {
    const n = numbers[i], kind = n < 30 ? n % 20 : n < 40 || n > 89 && n < 100 ? "front" : "back"
    if (n == 38 || n == 48) i += numbers[i + 1] == 5 ? 2 : 4  // ignore colors that TERM=xterm does not have
    else if (n == 0) style = {}
    else if (n > 20 && n < 30 || n == 39 || n == 49) delete style[kind]
    else style[kind] = "s" + n
    if (n == 22) delete style[1]  // 22 ends bold and faint
  }
}

function draw() {
  const fresh = lines.map((line, i) => render(line, i == y && modes[25] !== false ? clamp(x, columns) : -1))
  if (fresh.length != present.childElementCount) present.replaceChildren(...fresh)
  for (const [i, row] of [...present.children].entries()) row.isEqualNode(fresh[i]) || row.replaceWith(fresh[i])
  screen.scrollTop = screen.scrollHeight
  drawing = 0
}

function render(line, cursor = -1) {
  const row = document.createElement("div")
  for (let i = 0; i <= Math.max(line.findLastIndex(Boolean), cursor); i++) {
    const [text, classes] = line[i] || [" ", ""], className = i == cursor ? "cursor" : classes
    if (row.lastChild?.className !== className) row.append(Object.assign(document.createElement("span"), {className}))
    row.lastChild.textContent += text
  }
  return row
}

function connect() {
  sessionStorage.shell ||= crypto.getRandomValues(new BigUint64Array(2)).join("")
  socket = new WebSocket(new URL("terminal/shell?" + sessionStorage.shell, location).href.replace("http", "ws"))
  socket.binaryType = "arraybuffer"
  socket.onopen = () => { tries = 0; fit() }
  socket.onmessage = ({data}) => write(decoder.decode(data, {stream: true}))
  socket.onclose = ({code}) => {
    ended = ENDS[code]
    if (!ended) setTimeout(connect, 300 * Math.min(++tries, 20))
    if (ended || tries == 4) write(`\x1b[0m\r\n${ended || "No connection; trying again."}\r\n`)
    if (tries == 4) fetch("www/icon.svg").then(({status}) => status == 401 && location.reload(), () => 0)  // logged out
  }
}

function fit() {  // sends the size; the shell's process then sends the last output again
  if (lines && socket.readyState != WebSocket.OPEN) return
  const {width, height} = input.getBoundingClientRect()  // the size of a character
  rows = Math.max(2, Math.floor(screen.clientHeight / height))
  columns = Math.min(250, Math.max(20, Math.floor(screen.clientWidth / width) - 1))
  reset()
  if (socket.readyState == WebSocket.OPEN) socket.send(Uint8Array.of(255, rows, columns))
}

function type(text, event) {
  if (text) event?.preventDefault()
  if (text && socket.readyState == WebSocket.OPEN) socket.send(text)
  else if (ended && text == "\r") ended = connect()
}

function encode({key, ctrlKey, altKey, metaKey, shiftKey}) {  // returns the bytes for a special key
  if (metaKey || ctrlKey && altKey || shiftKey && (ctrlKey || key == "Tab")) return ""
  if (ctrlKey && /^[a-z@[\\\]^_ ]$/i.test(key)) return String.fromCharCode(key.toUpperCase().charCodeAt(0) & 31)
  if (altKey && key.length == 1) return "\x1b" + key
  if (MOVES[key]) return (modes[1] ? "\x1bO" : "\x1b[") + MOVES[key]
  return KEYS[key] || ""
}

function enter() {  // sends text from a keyboard, also an on-screen keyboard, or from the clipboard
  type(control.ariaPressed == "true" ? encode({key: input.value, ctrlKey: true}) : input.value.replace(/\r?\n/g, "\r"))
  input.value = control.ariaPressed = ""
}

input.oninput = event => event.isComposing || enter()
input.oncompositionend = enter
input.onkeydown = event => event.isComposing || type(encode(event), event)
screen.onclick = () => getSelection().isCollapsed && input.focus({preventScroll: true})
keys.onclick = ({target: {dataset}}) => {
  if (dataset.key == "Control") control.ariaPressed = control.ariaPressed != "true"
  else type(encode(dataset))
  input.focus({preventScroll: true})
}
onpagehide = () => socket.close()  // otherwise the browser would keep the page, with its WebSocket, for the Back button
onpageshow = event => event.persisted && location.reload()
connect()
new ResizeObserver(fit).observe(screen)
input.focus()

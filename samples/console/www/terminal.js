// A terminal for what shells, editors and pagers use of xterm. A row is an array of [character, classes]; the rows of the screen are drawn once per frame.
const TOKEN = /\x1b\[([?>=]?)([\d;:]*)[ -/]*([@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|(\x1b[ -/]*[0-~]|[\0-\x1f\x7f])|([^\0-\x1f\x7f]+)/y
const KEYS = {Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", Delete: "\x1b[3~", PageUp: "\x1b[5~", PageDown: "\x1b[6~"}
const MOVES = {ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D", Home: "H", End: "F"}
const screen = document.getElementById("screen"), input = screen.querySelector("textarea"), [past, present] = screen.querySelectorAll("div")
const keys = document.getElementById("keys"), control = keys.querySelector("[data-key=Control]"), decoder = new TextDecoder()
let rows = 24, columns = 80, top, bottom, lines = [], main, x = 0, y = 0, saved = [0, 0], style = {}, modes = {}, rest = "", drawing
let socket, tries = 0, quiet

const SEQUENCES = {  // n is the first number, p all of them
  A: n => move(y - n, x), B: n => move(y + n, x), C: n => move(y, x + n), D: n => move(y, x - n), G: n => move(y, n - 1), d: n => move(n - 1, x),
  H: (n, p) => move(n - 1, (p[1] || 1) - 1), K: (n, p) => erase(y, p[0] ? 0 : x, p[0] == 1 ? x + 1 : columns), X: n => erase(y, x, x + n),
  J: (n, p) => { SEQUENCES.K(n, p); for (let i = p[0] ? 0 : y + 1; i < (p[0] == 1 ? y : rows); i++) erase(i, 0, columns) },
  L: n => scroll(-n, y), M: n => scroll(n, y), S: n => scroll(n, top), T: n => scroll(-n, top), P: n => lines[y].splice(x, n),
  "@": n => { lines[y].splice(x, 0, ...Array(n)); lines[y].splice(columns) }, m: (n, p) => paint(p), c: () => type("\x1b[?6c"),
  r: (n, p) => { top = Math.min(n, rows) - 1; bottom = Math.min(p[1] || rows, rows) - 1; move(0, 0) }, n: n => n == 6 && type(`\x1b[${y + 1};${x + 1}R`),
  "\x1b7": () => saved = [y, x], "\x1b8": () => move(...saved), "\x1bD": () => feed(), "\x1bM": () => y == top ? scroll(-1, top) : move(y - 1, x),
  "\x1bc": () => { past.replaceChildren(); lines = []; main = null; style = {}; modes = {}; fill(); move(0, 0) },
  "\n": () => feed(), "\r": () => x = 0, "\b": () => move(y, Math.min(x, columns - 1) - 1), "\t": () => move(y, (x | 7) + 1),
}

function write(text) {
  text = rest + text
  let at = TOKEN.lastIndex = 0
  for (let found; (found = TOKEN.exec(text)); at = TOKEN.lastIndex) {
    const [, mark, numbers, final, control, plain] = found, all = (numbers || "").split(/[;:]/).map(Number)
    if (mark == "?" && "hl".includes(final)) all.forEach(number => mode(number, final == "h"))
    else if (!mark) SEQUENCES[final || control]?.(Math.min(all[0] || 1, 999), all)
    for (const one of plain || "") {
      if (x >= columns) { x = 0; feed() }
      lines[y][x++] = [one, Object.values(style).join(" ")]
    }
  }
  rest = text.length - at < 4096 ? text.slice(at) : ""  // the beginning of a sequence
  drawing ||= requestAnimationFrame(draw)
}

function draw() {
  drawing = 0
  const fresh = lines.map((line, i) => render(line, i == y && modes[25] !== false ? Math.min(x, columns - 1) : -1))
  if (fresh.length != present.childElementCount) present.replaceChildren(...fresh)
  else fresh.forEach((element, i) => present.children[i].isEqualNode(element) || present.children[i].replaceWith(element))  // a selection stays
  screen.scrollTop = screen.scrollHeight
}

function render(line, cursor) {
  const element = document.createElement("div")
  for (let i = 0; i <= Math.max(line.findLastIndex(Boolean), cursor); i++) {
    const [text, classes] = line[i] || [" ", ""], className = i == cursor ? "cursor" : classes
    if (element.lastChild?.className !== className) element.append(Object.assign(document.createElement("span"), {className}))
    element.lastChild.textContent += text
  }
  return element
}

function erase(row, from, to) {
  for (let i = from; i < Math.min(to, columns); i++) lines[row][i] = style.back && [" ", style.back]
}

function move(row, column) {
  y = Math.max(0, Math.min(row, rows - 1))
  x = Math.max(0, Math.min(column, columns - 1))
}

function feed() { y == bottom ? scroll(1, top) : move(y + 1, x) }

function scroll(n, from) {  // up, or down if n is negative: the rows from there to the end of the region
  for (let i = Math.min(Math.abs(n), rows); i && from >= top && from <= bottom; i--) {
    const [old] = lines.splice(n < 0 ? bottom : from, 1)
    lines.splice(n < 0 ? from : bottom, 0, [])
    if (n > 0 && !from && !main) keep(old)
  }
}

function keep(line) {  // above the screen
  past.append(render(line, -1))
  if (past.childElementCount > 300) past.firstChild.remove()
}

function fill() {  // makes as many rows as the screen has
  for (; lines.length > rows && y < lines.length - 1; lines.pop());
  for (; lines.length > rows; y--) keep(lines.shift())
  while (lines.length < rows) lines.push([])
  top = 0
  bottom = rows - 1
  move(y, x)
}

function mode(number, on) {
  modes[number] = on
  if (number != 1049 || on == Boolean(main)) return
  ;[main, lines, y, x] = on ? [[lines, y, x], [], y, x] : [null, ...main]  // editors have a screen beside the main one
  fill()
}

function paint(numbers) {  // a style is a class of the style sheet, such as s31 for red
  for (let i = 0; i < numbers.length; i++) {
    const n = numbers[i], kind = n < 10 ? n : n < 40 || n > 89 && n < 100 ? "front" : "back"
    if (n == 0) style = {}
    else if (n == 38 || n == 48) i += numbers[i + 1] == 5 ? 2 : 4  // a color that TERM=xterm does not have
    else if (n > 20 && n < 30) [n - 20, n == 22 && 1].forEach(one => delete style[one])
    else if (n == 39 || n == 49) delete style[kind]
    else style[kind] = "s" + n
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
  if (text && socket.readyState == WebSocket.OPEN && !quiet) socket.send(new TextEncoder().encode(text))
  else if (text == "\r" && socket.readyState == WebSocket.CLOSED && !tries) connect()
}

function fit() {
  const probe = screen.appendChild(Object.assign(document.createElement("span"), {textContent: "0"})), {width, height} = probe.getBoundingClientRect()
  probe.remove()
  rows = Math.max(2, Math.floor(screen.clientHeight / height))
  columns = Math.max(20, Math.floor(screen.clientWidth / width) - 1)
  fill()
  write("")
  if (socket.readyState == WebSocket.OPEN) socket.send(`${rows} ${columns}`)
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
fill()
connect()
new ResizeObserver(fit).observe(screen)
input.focus()

// A terminal for what shells, editors and pagers use of xterm. Each character is a <span>; the last rows of a page are the screen.
const TOKEN = /\x1b\[([?>=]?)([\d;:]*)[ -/]*([@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|(\x1b[ -/]*[0-~]|[\0-\x1f\x7f])|([^\0-\x1f\x7f]+)/y
const COLORS = ["#000", "#d44", "#3a3", "#b80", "#58e", "#b5b", "#199", "#aaa", "#777", "#f66", "#6d6", "#ed5", "#8af", "#f7f", "#5dd", "#fff"]
const STYLES = {1: "font-weight:bold;", 2: "opacity:.6;", 3: "font-style:italic;", 4: "text-decoration:underline;"}
const KEYS = {Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", Insert: "\x1b[2~", Delete: "\x1b[3~",
  PageUp: "\x1b[5~", PageDown: "\x1b[6~", F1: "\x1bOP", F2: "\x1bOQ", F3: "\x1bOR", F4: "\x1bOS", F10: "\x1b[21~"}
const MOVES = {ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D", Home: "H", End: "F"}
const make = (tag, textContent) => Object.assign(document.createElement(tag), {textContent})

const SEQUENCES = {  // t is the terminal, n the first number, p all of them
  A: (t, n) => t.move(t.y - n, t.x), B: (t, n) => t.move(t.y + n, t.x), C: (t, n) => t.move(t.y, t.x + n), D: (t, n) => t.move(t.y, t.x - n),
  G: (t, n) => t.move(t.y, n - 1), d: (t, n) => t.move(n - 1, t.x), H: (t, n, p) => t.move(n - 1, (p[1] || 1) - 1),
  J: (t, n, p) => { SEQUENCES.K(t, n, p); for (let y = p[0] ? 0 : t.y + 1; y < (p[0] == 1 ? t.y : t.rows); y++) t.erase(y, 0, t.columns) },
  K: (t, n, p) => t.erase(t.y, p[0] ? 0 : t.x, p[0] == 1 ? t.x + 1 : t.columns), X: (t, n) => t.erase(t.y, t.x, t.x + n),
  L: (t, n) => t.scroll(-n, t.y), M: (t, n) => t.scroll(n, t.y), S: (t, n) => t.scroll(n, t.top), T: (t, n) => t.scroll(-n, t.top),
  P: (t, n) => { for (; n; n--) t.row(t.y).children[t.x]?.remove() },
  "@": (t, n) => { for (; n; n--) { t.cell(t.y, t.x).before(make("span", " ")); t.row(t.y).children[t.columns]?.remove() } },
  r: (t, n, p) => { Object.assign(t, {top: Math.min(n, t.rows) - 1, bottom: Math.min(p[1] || t.rows, t.rows) - 1}); t.move(0, 0) },
  n: (t, n) => n == 6 && t.send(`\x1b[${t.y + 1};${t.x + 1}R`), c: t => t.send("\x1b[?6c"), m: (t, n, p) => t.paint(p),
  "\x1b7": t => t.saved = [t.y, t.x], "\x1b8": t => t.move(...t.saved), "\x1bD": t => t.feed(), "\n": t => t.feed(), "\r": t => t.x = 0,
  "\x1bM": t => t.y == t.top ? t.scroll(-1, t.top) : t.move(t.y - 1, t.x),
  "\b": t => t.move(t.y, Math.min(t.x, t.columns - 1) - 1), "\t": t => t.move(t.y, (t.x | 7) + 1),
}

class Terminal {
  constructor(view, send) {
    this.pages = [view.appendChild(make("div")), make("div")]  // the second one is for editors
    Object.assign(this, {view, send, page: this.pages[0], rest: "", modes: {}, saved: [0, 0], x: 0, y: 0, rows: 0})
    this.paint([0])
    this.resize(24, 80)
  }

  resize(rows, columns) {
    const page = this.page, y = page.childElementCount - this.rows + this.y  // of the cursor, from the first row
    while (page.childElementCount > Math.max(rows, y + 1)) page.lastChild.remove()
    while (page.childElementCount < rows) page.append(make("div"))
    Object.assign(this, {rows, columns, top: 0, bottom: rows - 1})
    this.move(y - page.childElementCount + rows, this.x)
  }

  write(text) {
    text = this.rest + text
    let at = TOKEN.lastIndex = 0
    for (let found; (found = TOKEN.exec(text)); at = TOKEN.lastIndex) {
      const [, mark, numbers, final, control, plain] = found
      if (mark == "?" && "hl".includes(final)) this.mode(numbers.split(";"), final == "h")
      else if (!mark) SEQUENCES[final || control]?.(this, Math.min(parseInt(numbers) || 1, 999), (numbers || "").split(/[;:]/).map(Number))
      for (const one of plain || "") {
        if (this.x >= this.columns) { this.x = 0; this.feed() }
        this.put(one, this.y, this.x++)
      }
    }
    this.rest = text.length - at < 4096 ? text.slice(at) : ""  // the beginning of a sequence
    this.view.querySelector(".cursor")?.classList.remove("cursor")
    if (this.modes[25] !== false) this.cell(this.y, Math.min(this.x, this.columns - 1)).className = "cursor"
    this.view.scrollTop = this.view.scrollHeight
  }

  row(y) { return this.page.children[this.page.childElementCount - this.rows + y] }

  cell(y, x) {
    const row = this.row(y)
    while (row.childElementCount <= x) row.append(make("span", " "))
    return row.children[x]
  }

  put(text, y, x) {
    Object.assign(this.cell(y, x), {textContent: text}).style.cssText = this.css  // a strict policy allows this, unlike attributes
  }

  erase(y, from, to) {
    for (let x = from; x < Math.min(to, this.columns); x++) if (this.back || this.row(y).children[x]) this.put(" ", y, x)
  }

  move(y, x) {
    this.y = Math.max(0, Math.min(y, this.rows - 1))
    this.x = Math.max(0, Math.min(x, this.columns - 1))
  }

  feed() { this.y == this.bottom ? this.scroll(1, this.top) : this.move(this.y + 1, this.x) }

  scroll(n, top) {  // up, or down if n is negative: the rows from top to the end of the region
    for (let i = Math.min(Math.abs(n), this.rows); i && top >= this.top && top <= this.bottom; i--) {
      const old = this.row(n < 0 ? this.bottom : top)
      if (n < 0) this.row(top).before(make("div"))
      else this.row(this.bottom).after(make("div"))
      if (n < 0 || top || this.page == this.pages[1]) old.remove()
      else if (this.page.childElementCount > 300) this.page.firstChild.remove()
    }
  }

  mode(numbers, on) {
    for (const number of numbers) this.modes[number] = on
    const page = this.pages[this.modes[1049] ? 1 : 0]
    if (page == this.page) return
    if (on) { this.main = [this.y, this.x]; page.replaceChildren() }
    this.page.replaceWith(page)
    this.page = page
    while (page.childElementCount < this.rows) page.append(make("div"))
    this.move(...this.main)
  }

  paint(numbers) {
    for (let i = 0; i < numbers.length; i++) {
      const n = numbers[i], tens = Math.floor(n / 10), color = n % 10 < 8 ? COLORS[n % 10 + (n < 90 ? 0 : 8)] : ""
      if (n == 0) Object.assign(this, {styles: new Set(), front: "", back: ""})
      else if (n == 38 || n == 48) i += numbers[i + 1] == 5 ? 2 : 4  // a color that TERM=xterm does not have
      else if (tens == 3 || tens == 9) this.front = color
      else if (tens == 4 || tens == 10) this.back = color
      else if (tens == 2) [n - 20, n == 22 && 1].forEach(one => this.styles.delete(one))
      else this.styles.add(n)
    }
    const [front, back] = this.styles.has(7) ? [this.back || "#111", this.front || "#ddd"] : [this.front, this.back]
    this.css = [...this.styles].map(n => STYLES[n] || "").join("") + `color:${front};background:${back}`
  }

  key({key, ctrlKey, altKey, metaKey, shiftKey}) {  // what a key sends that is neither text nor one of the browser's
    if (metaKey || ctrlKey && altKey || shiftKey && (ctrlKey || key == "Tab" || key == "Insert")) return ""
    if (ctrlKey && /^[a-z@[\\\]^_ ]$/i.test(key)) return String.fromCharCode(key.toUpperCase().charCodeAt(0) & 31)
    if (altKey && key.length == 1) return "\x1b" + key
    return KEYS[key] || MOVES[key] && (this.modes[1] ? "\x1bO" : "\x1b[") + MOVES[key] || ""
  }
}

const screen = document.getElementById("screen"), input = screen.querySelector("textarea"), terminal = new Terminal(screen, type)
const keys = document.getElementById("keys"), control = keys.querySelector("[data-key=Control]")
let socket

function connect() {
  const decoder = new TextDecoder()
  socket = new WebSocket(new URL("terminal/shell", location).href.replace("http", "ws"))
  socket.binaryType = "arraybuffer"
  socket.onopen = fit
  socket.onmessage = ({data}) => terminal.write(typeof data == "string" ? data : decoder.decode(data, {stream: true}))
  socket.onclose = () => terminal.write("\x1b[0m\r\nNo shell is connected. Enter starts one.\r\n")
}

function type(text) {
  if (text && socket.readyState == WebSocket.OPEN) socket.send(new TextEncoder().encode(text))
  else if (text == "\r" && socket.readyState == WebSocket.CLOSED) connect()
}

function fit() {
  const {width, height} = terminal.cell(0, 0).getBoundingClientRect()
  terminal.resize(Math.max(2, Math.floor(screen.clientHeight / height)), Math.max(20, Math.floor(screen.clientWidth / width) - 1))
  if (socket.readyState == WebSocket.OPEN) socket.send(`${terminal.rows} ${terminal.columns}`)
}

function enter() {  // text from the keyboard, also from one on the screen, and from the clipboard
  type(control.ariaPressed == "true" ? terminal.key({key: input.value, ctrlKey: true}) : input.value.replace(/\r?\n/g, "\r"))
  input.value = control.ariaPressed = ""
}

input.oninput = event => event.isComposing || enter()
input.oncompositionend = enter
input.onkeydown = event => {
  const text = event.isComposing ? "" : terminal.key(event)
  if (text) event.preventDefault()
  type(text)
}
screen.onclick = () => getSelection().isCollapsed && input.focus({preventScroll: true})
keys.onclick = ({target: {dataset: {key}}}) => {
  if (key == "Control") control.ariaPressed = control.ariaPressed != "true"
  else type(terminal.key({key}))
  input.focus({preventScroll: true})
}
onpagehide = () => socket.close()  // browsers keep pages, and their WebSockets, for the button Back
connect()
new ResizeObserver(fit).observe(screen)
input.focus()

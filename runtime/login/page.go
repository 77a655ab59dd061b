package login

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"strings"
)

// looks are what a site can choose of the form.
type looks struct{ title, logo string }

// style is small, for light and dark, and for telephones: fields of 16 px, or they would be magnified.
const style = `:root{color-scheme:light dark;--bg:#f4f5f8;--box:#fff;--fg:#1d2330;--dim:#667;--line:#c8ccd6;--red:#b3261e;--do:#2458b8;--on:#fff}
@media(prefers-color-scheme:dark){:root{--bg:#14171c;--box:#1d2129;--fg:#dfe3ea;--dim:#98a0b0;--line:#414856;--red:#ff8a80;--do:#7aa9f7;--on:#14171c}}
*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
main{width:100%;max-width:22rem;padding:1.5rem;border:1px solid var(--line);border-radius:10px;background:var(--box)}
h1{margin:0 0 .5rem;font-size:1.3rem;overflow-wrap:anywhere}img{display:block;max-width:100%;max-height:6rem;margin:0 0 .8rem}p{margin:.5rem 0;overflow-wrap:anywhere}.dim{color:var(--dim)}.bad{color:var(--red)}
label{display:block;margin:.8rem 0 0}input{display:block;width:100%;margin-top:.2rem;padding:.55rem;border:1px solid var(--line);border-radius:6px;background:var(--bg);color:inherit;font:inherit}
button{width:100%;margin-top:1.2rem;padding:.6rem;border:0;border-radius:6px;background:var(--do);color:var(--on);font:inherit;cursor:pointer}:focus-visible{outline:2px solid var(--do);outline-offset:2px}
`

// policy allows the style, images in the page, and the form; no script, no frame, nothing from elsewhere.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}()

// content is what a page says.
type content struct {
	title   string
	message string // why the form is there again
	token   string // of the form
	next    string // where the user wants to go
	name    string // that the user has typed
	first   bool   // the form makes the first user
	user    string // the name of the user who may log out; "": the form is for logging in
	out     bool   // the user has logged out
}

// page returns a document.
func (k looks) page(c *content) string {
	var b strings.Builder
	title := k.title
	if title == "" {
		title = "Log in"
	}
	if c.title != "" {
		title = c.title
	}
	fmt.Fprintf(&b, `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">`+
		`<title>%s</title><style>%s</style></head><body><main>`, text(title), style)
	if k.logo != "" {
		fmt.Fprintf(&b, `<img src="%s" alt="">`, text(k.logo))
	}
	fmt.Fprintf(&b, `<h1>%s</h1>`, text(title))
	if c.message != "" {
		fmt.Fprintf(&b, `<p class="bad" role="alert">%s</p>`, text(c.message))
	}
	if c.out {
		b.WriteString(`<p>You are logged out.</p>`)
	}
	if c.user != "" {
		k.out(&b, c)
	} else {
		k.form(&b, c)
	}
	b.WriteString("</main></body></html>\n")
	return b.String()
}

func (k looks) form(b *strings.Builder, c *content) {
	fmt.Fprintf(b, `<form method="post"><input type="hidden" name="token" value="%s"><input type="hidden" name="next" value="%s">`, text(c.token), text(c.next))
	button, secret := "Log in", "current-password"
	if c.first {
		b.WriteString(`<p class="dim">There is no user yet. This makes the first one. The code is in the log of the server.</p>` +
			`<label>Code<input name="code" required autocomplete="off" autocapitalize="characters" spellcheck="false"></label>`)
		button, secret = "Create the user", "new-password"
	}
	fmt.Fprintf(b, `<label>Name<input name="name" value="%s" required maxlength="%d" autocomplete="username" autocapitalize="none" spellcheck="false"></label>`, text(c.name), maxUser)
	fmt.Fprintf(b, `<label>Password<input name="password" type="password" required autocomplete="%s"></label>`, secret)
	if c.first {
		b.WriteString(`<label>Password again<input name="again" type="password" required autocomplete="new-password"></label>`)
	}
	fmt.Fprintf(b, `<button>%s</button></form>`, button)
}

func (looks) out(b *strings.Builder, c *content) {
	fmt.Fprintf(b, `<p>You are logged in as %s.</p>`, text(c.user))
	b.WriteString(`<form method="post"><button>Log out</button></form><form method="post"><input type="hidden" name="all" value="1"><button>Log out on all devices</button></form>`)
}

func text(s string) string { return html.EscapeString(strings.ToValidUTF8(s, "\uFFFD")) }

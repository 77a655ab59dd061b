package supervisor

import (
	"bytes"
	"fmt"
	"html"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/cmd/fapws/watch"
	"fapws/runtime/logfile"
	"fapws/runtime/system"
)

// templates are patterns of files that frameworks read once and then keep:
// without a reload, an edit of one shows no effect.
var templates = []string{"*.html", "*.htm", "*.jinja", "*.jinja2", "*.j2", "*.mako", "*.pt", "*.tpl"}

// watchFiles reloads when files of the application change, if the settings say
// so. The Watcher is nil otherwise.
func (p *supervisor) watchFiles() (*watch.Watcher, error) {
	if !p.conf.Reload {
		return nil, nil
	}
	dirs := p.conf.ReloadDirs
	if len(dirs) == 0 {
		dirs = p.plan.Folders()
	}
	include := p.conf.ReloadInclude
	if p.plan.File != nil {
		include = slices.Concat(include, []string{p.plan.Path})
	}
	if p.conf.Dev {
		include = slices.Concat(include, templates)
	}
	w, err := watch.Start(watch.Options{
		Dirs:    dirs,
		Include: include,
		Exclude: p.conf.ReloadExclude,
		Log:     func(line string) { p.log.Log(logfile.Warning, line) },
	})
	if err != nil {
		return nil, process.ExitUsage(err)
	}
	go func() {
		for change := range w.Changes {
			p.pool.ReloadChanged(change.String())
		}
	}()
	return w, nil
}

// logKept tells of settings whose new value in the configuration file a reload
// does not bring about, because the supervisor has them; again only when they
// have changed again.
func (p *supervisor) logKept() {
	if p.plan.File == nil {
		return
	}
	set, err := settings.New(settings.Table(settings.ThisMachine()), p.plan.Command.Flags, os.LookupEnv)
	if err != nil {
		return // the workers, which read the same file, have reported it
	}
	file, err := settings.ReadFile(p.plan.Path)
	if err != nil || set.ReadFile(file, plan.FileKeys()) != nil {
		return // as well; or this user may not read it
	}
	if conf, err := set.Config(); err == nil { // the workers may change other directories from now on
		now := p.conf
		now.SandboxWrite = slices.Concat(now.SandboxWrite, conf.SandboxWrite)
		system.Distrust(p.plan.Changeable(&now))
	}
	kept := strings.Join(p.plan.Settings.Kept(set), ", ")
	if kept != "" && kept != p.kept {
		p.log.Log(logfile.Warning, fmt.Sprintf("%s: changes of %s take effect after a restart", p.plan.File.Name, kept))
	}
	p.kept = kept
}

const (
	// pageText is the number of bytes at the end of a worker's output that are shown.
	pageText = 16 << 10

	// pageRefresh is after how long the page is asked for again, so that it gives way to corrected code.
	pageRefresh = time.Second
)

const pageStyle = `:root{color-scheme:light dark;--bg:#fff;--fg:#1d2330;--dim:#667;--box:#f4f5f8;--line:#dde;--red:#b3261e}
@media(prefers-color-scheme:dark){:root{--bg:#14171c;--fg:#dfe3ea;--dim:#8b93a3;--box:#1d2129;--line:#313744;--red:#ff8a80}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}
header,main{max-width:70rem;margin:auto;padding:1rem}header{border-top:6px solid var(--red)}
h1{margin:.5rem 0;font-size:1.5rem;color:var(--red);overflow-wrap:anywhere}p{margin:.3rem 0}.dim{color:var(--dim)}
pre{margin:0;padding:.5rem .8rem;overflow-x:auto;white-space:pre-wrap;border:1px solid var(--line);border-radius:6px;background:var(--box);font:13px/1.5 ui-monospace,Consolas,monospace}
`

// failurePage is the HTML document that browsers get while new code does not load: the name of the application, the
// error in one line, and the standard error of the worker, mostly a traceback. Everything in it is escaped and
// bounded. It needs nothing from anywhere.
func failurePage(app, how string, said []byte) []byte {
	said = bytes.TrimRight(escapes().ReplaceAll(said, nil), "\n")
	if len(said) > pageText {
		said = said[len(said)-pageText:]
		if at := bytes.IndexByte(said, '\n'); at >= 0 {
			said = said[at+1:]
		}
	}
	text := strings.ToValidUTF8(string(said), "\uFFFD")
	title := lastError(text)
	if title == "" {
		title = how
	}
	var b bytes.Buffer
	b.WriteString("<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><meta http-equiv=refresh content=")
	b.WriteString(strings.TrimSuffix(pageRefresh.String(), "s"))
	b.WriteString("><title>" + html.EscapeString(title) + "</title><style>" + pageStyle + "</style>")
	b.WriteString("<header><p class=dim>" + html.EscapeString(app) + " failed to load: " + html.EscapeString(how) + "</p>")
	b.WriteString("<h1>" + html.EscapeString(title) + "</h1></header><main><pre>" + html.EscapeString(text) + "</pre>")
	b.WriteString("<p class=dim>Only browsers see this page; other clients still reach the previous version, if there was one. This page refreshes itself once the code loads.</p></main></html>\n")
	return b.Bytes()
}

// escapes matches control sequences for terminals (ECMA-48 §5.4).
var escapes = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]") })

// lastError is the last line of a traceback, "ValueError: no", or else the last message
// of fapws.
func lastError(text string) string {
	lines := strings.Split(text, "\n")
	for _, fits := range []func(string) bool{errorLine().MatchString, ownLine} {
		for i := len(lines) - 1; i >= 0; i-- {
			if fits(lines[i]) {
				return lines[i]
			}
		}
	}
	return ""
}

func ownLine(line string) bool { return strings.HasPrefix(line, "fapws: ") }

var errorLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning|Group)\b|[a-z_][\w.]*\.[A-Z]\w*: )`)
})

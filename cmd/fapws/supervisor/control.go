package supervisor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/worker"
	"fapws/runtime/http1"
	"fapws/runtime/logfile"
	"fapws/runtime/metrics"
	"fapws/runtime/source/cache"
)

func (p *supervisor) command(c ctl.Command, pattern cache.Pattern) (a ctl.Answer, err error) {
	if word, name, named := strings.Cut(string(c), " "); named {
		if ctl.Command(word) == ctl.Logs {
			a.Lines = p.log.Lines(name)
		}
		return a, p.applications.command(ctl.Command(word), name)
	}
	switch c {
	case ctl.Status, ctl.CA:
		a.Status = p.report(p.ask(ctl.Status, time.Second))
		a.Status.Applications, _ = p.applications.ask(ctl.Status)
	case ctl.Top:
		all := p.ask(ctl.Top, worker.AnswerWithin)
		a.Families = p.metrics(all)
		a.Status, a.Active = p.report(all), active(all)
		var answers []ctl.Answer
		a.Status.Applications, answers = p.applications.ask(ctl.Top)
		for i := range answers {
			if one := &a.Status.Applications[i]; one.Report != nil {
				one.Report, one.Top = nil, &answers[i]
			}
		}
	case ctl.Metrics:
		own := p.metrics(p.ask(ctl.Metrics, worker.AnswerWithin))
		a.Families = metrics.Merge(append(p.applications.metrics(), own)...)
	case ctl.Stack:
		a.Text = p.stack(p.ask(ctl.Stack, worker.AnswerWithin)) + p.applications.stack()
	// The supervisor executes this command itself, because it has the log lines of all processes.
	case ctl.Logs:
		a.Lines = p.log.Lines("")
		for _, one := range p.ask(ctl.Logs, worker.AnswerWithin) {
			a.Lines = append(a.Lines, one.Lines...)
		}
	case ctl.Profile:
		a.Stacks, err = p.profile()
	case ctl.Reload:
		if err = p.reload("fapws ctl"); err == nil {
			p.pool.Do(func() { a.Text = p.unchanged() })
		}
	case ctl.Rotate:
		err = p.log.RotateAll(&p.shown.Load().Config, p.site.Load())
		_, _ = p.applications.ask(ctl.Rotate)
		p.pool.Reopen()
	case ctl.Purge:
		a.Pages, err = p.purge(pattern)
	case ctl.Stop:
		p.pool.Stop()
	default:
		err = ctl.ErrUnknown
	}
	return a, err
}

type reply struct {
	pid int
	ctl.Answer
}

func (p *supervisor) ask(c ctl.Command, limit time.Duration) (replies []reply) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for _, r := range p.pool.Ask(ctx, string(c)) {
		one := reply{pid: r.Pid}
		if json.Unmarshal([]byte(r.Text), &one.Answer) == nil {
			replies = append(replies, one)
		}
	}
	return replies
}

func (p *supervisor) report(replies []reply) *ctl.Report {
	st := p.pool.Status()
	counted := map[int]ctl.Counters{}
	r := p.shown.Load().Report(p.plan, st.Since)
	r.Failure = st.Failure
	if p.shown.Load().Config.Status != "" { // workers count from their start
		r.Counted = r.Uptime
	} else if began := p.counting.Load(); began != 0 {
		r.Counted = time.Since(time.Unix(0, began)).Seconds()
	}
	for _, one := range replies {
		if one.Status == nil || len(one.Status.Workers) != 1 {
			continue
		}
		counted[one.pid] = one.Status.Workers[0].Counters
		if one.Status.Cache != nil {
			r.Cache = cmp.Or(r.Cache, &ctl.Cache{})
			r.Cache.Add(one.Status.Cache)
		}
	}
	for _, w := range st.Workers {
		counters, ok := counted[w.Pid]
		if !ok {
			counters = ctl.NotCounted
		}
		r.Workers = append(r.Workers, ctl.Worker{PID: w.Pid, State: counters.StateOf(w.State.String()),
			Age: time.Since(w.Since).Seconds(), RSS: w.RSS, CPU: w.CPU, Counters: counters})
	}
	return &r
}

func (p *supervisor) stack(replies []reply) string {
	var b strings.Builder
	for _, one := range replies {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "worker %d\n%s", one.pid, one.Text)
	}
	for _, w := range p.pool.Status().Workers {
		if w.State >= pool.Ready && !slices.ContainsFunc(replies, func(r reply) bool { return r.pid == w.Pid }) {
			fmt.Fprintf(&b, "\nworker %d (%s) does not answer\n", w.Pid, w.State)
		}
	}
	return b.String()
}

func (p *supervisor) reload(reason string) error {
	if err := p.pool.ReloadAndWait(reason); err != nil {
		return fmt.Errorf("reload failed: %w", err)
	}
	return p.applications.awaitReload()
}

func (p *supervisor) purge(pattern cache.Pattern) (n int, err error) {
	text, _ := json.Marshal(pattern)
	if p.broker != nil {
		p.broker.Publish(pool.Batch{Raw: text, Purge: true})
	}
	asked := p.pool.Status().Workers
	failures := map[int]string{}
	for _, one := range p.ask(ctl.Purge+" "+ctl.Command(text), worker.AnswerWithin) {
		failures[one.pid] = one.Error
		n += one.Pages
	}
	for _, w := range p.pool.Status().Workers { // a worker that is being replaced may end before it replies
		if !w.State.CanAnswer() || !slices.ContainsFunc(asked, func(a pool.WorkerStatus) bool {
			return a.Pid == w.Pid && a.State.CanAnswer()
		}) {
			continue
		}
		if failure, answered := failures[w.Pid]; !answered {
			return 0, fmt.Errorf("worker %d does not answer", w.Pid)
		} else if failure != "" {
			return 0, fmt.Errorf("worker %d: %s", w.Pid, failure)
		}
	}
	return n, nil
}

// query replies to a worker that asks about uploads, or, if the setting `status` is on, sends
// a command from the status page.
func (p *supervisor) query(pid int, topic string) string {
	if question, ok := strings.CutPrefix(topic, worker.QueryUploads+" "); ok {
		return p.uploads(pid, question)
	}
	if p.shown.Load().Status == "" {
		return ""
	}
	answer := ctl.Executor(p.pageCommand).AnswerPage(ctl.Command(topic))
	text, _ := json.Marshal(answer)
	return string(text)
}

// pageCommand runs a command of the status page, and allows one reload in each reloadPause.
func (p *supervisor) pageCommand(c ctl.Command, pattern cache.Pattern) (ctl.Answer, error) {
	switch {
	case c != ctl.Reload:
		return p.command(c, pattern)
	case !p.reloads.Once(reloadPause):
		return ctl.Answer{}, fmt.Errorf("the last reload from the status page was less than %v ago; try again", reloadPause)
	}
	return ctl.Answer{}, p.reload("status page")
}

// reloadPause is the minimum interval between reloads that workers request, so that a worker cannot keep all workers
// loading.
const reloadPause = 5 * time.Second

func (p *supervisor) uploads(asks int, question string) string {
	ctx, cancel := context.WithTimeout(context.Background(), worker.UploadsWithin)
	defer cancel()
	answers := []string{}
	for _, reply := range p.pool.Ask(ctx, worker.AskUploads+" "+question) {
		if reply.Pid != asks {
			answers = append(answers, reply.Text)
		}
	}
	text, _ := json.Marshal(answers)
	return string(text)
}

func (p *supervisor) profile() (stacks []ctl.StatusStack, err error) {
	err = errors.New("no worker answers")
	for _, one := range p.ask(ctl.Profile, ctl.ProfileTime+worker.AnswerWithin) {
		if one.Error == "" {
			stacks, err = append(stacks, one.Stacks...), nil
		} else if len(stacks) == 0 {
			err = errors.New(one.Error)
		}
	}
	return stacks, err
}

func (p *supervisor) tellViewers() {
	event := worker.ViewEvent()
	for range time.Tick(ctl.ViewEvery) {
		p.pool.PublishOwn(ctl.StatusChannel, event)
	}
}

// A ledger adds up the counters of workers, so that a sum does not fall when a worker ends. The zero value is an empty
// ledger. A ledger is safe for concurrent use.
type ledger struct {
	mu    sync.Mutex
	known map[int][]metrics.Family
	ended []metrics.Family // sum of the metrics of workers that have ended
}

// said stores the counters of a worker, and returns the number of workers whose counters are known.
func (l *ledger) said(pid int, families []metrics.Family) int {
	families = metrics.Sound(families)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[int][]metrics.Family{}
	}
	l.known[pid] = families
	return len(l.known)
}

// sum returns the total of all workers, including workers that have ended; live contains the process IDs of the running
// workers.
func (l *ledger) sum(live []int) []metrics.Family {
	l.mu.Lock()
	defer l.mu.Unlock()
	var present [][]metrics.Family
	for pid, families := range l.known {
		if slices.Contains(live, pid) {
			present = append(present, families)
			continue
		}
		l.ended = metrics.Sound(metrics.Merge(l.ended, metrics.Lasting(families)))
		delete(l.known, pid)
	}
	return metrics.Merge(append(present, l.ended)...)
}

// If the ledger holds the counters of more than mostKnown workers, the counters of ended workers are replaced by their
// sum. Otherwise this happens only when a client requests metrics.
const mostKnown = 50

func (p *supervisor) lastWords(pid int, text []byte) {
	var words ctl.Answer
	if json.Unmarshal(text, &words) != nil {
		return
	}
	p.log.KeepEnded(words.Lines)
	if len(words.Families) > 0 && p.counted.said(pid, words.Families) > mostKnown {
		go func() { p.counted.sum(pids(p.pool.Status())) }()
	}
}

func pids(st pool.Status) []int {
	all := make([]int, len(st.Workers))
	for i, w := range st.Workers {
		all[i] = w.Pid
	}
	return all
}

// For a worker that did not reply in time, metrics uses the previous reply.
func (p *supervisor) metrics(answers []reply) []metrics.Family {
	p.counting.CompareAndSwap(0, time.Now().UnixNano())
	os.Setenv(pool.CountVariable, "1") // new workers then report counters without a request
	st := p.pool.Status()
	live := pids(st)
	for _, one := range answers {
		// If the worker has ended, the ledger may contain its last words, which are newer than this reply.
		if len(one.Families) > 0 && slices.Contains(live, one.pid) {
			p.counted.said(one.pid, one.Families)
		}
	}
	all := p.counted.sum(live)
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	own := []metrics.Family{
		worker.Memory("supervisor"),
		worker.LostLines(p.log.Lost()),
		worker.Started(st.Since),
		metrics.One("fapws_workers", metrics.Gauge, "", "Processes that serve, or are about to begin or to end.",
			float64(len(st.Workers))),
		metrics.One("fapws_reloads", metrics.Counter, "", "Reloads that have succeeded.", float64(st.Reloads)),
		{Name: "fapws_worker_restarts", Kind: metrics.Counter,
			Help: "Workers that were replaced other than by a reload: died, or recycled because of max-requests, " +
				"max-rss or a stuck handler.",
			Series: []metrics.Series{
				{Labels: metrics.Labels("reason", "died"), Value: float64(st.Lost)},
				{Labels: metrics.Labels("reason", "recycled"), Value: float64(st.Recycled)},
			}},
	}
	return metrics.Merge(all, own, p.brokerMetrics())
}

func active(answers []reply) (list []ctl.Active) {
	for _, one := range answers {
		list = append(list, one.Active...)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Age > list[j].Age })
	return list
}

// pageText limits the text from the end of a worker's output, in bytes.
const pageText = 16 << 10

// failureHead makes the browser load the failure page again every second, so that the browser shows the application
// when the code is corrected.
const failureHead = `<meta http-equiv="refresh" content="1">` +
	`<style>body{border-top:6px solid var(--red)}header,main{max-width:70rem;margin:auto;padding:1rem}` +
	`h1{color:var(--red)}pre{white-space:pre-wrap}</style>`

// failureNotice returns what clients receive while new code does not load: the application, the error in one line, and
// the standard error of the worker, usually a traceback.
func failureNotice(app, ending string, stderr []byte) *pool.Message {
	stderr = bytes.TrimRight(escapes().ReplaceAll(asText(stderr), nil), "\n")
	if len(stderr) > pageText {
		stderr = stderr[len(stderr)-pageText:]
		if at := bytes.IndexByte(stderr, '\n'); at >= 0 {
			stderr = stderr[at+1:]
		}
	}
	text := strings.ToValidUTF8(string(stderr), "\uFFFD")
	title := cmp.Or(strings.TrimPrefix(lastError(text), "fapws: "), ending)
	text, remedy := cutRemedy(text, title)
	failed := app + " failed to load"
	plain := failed + ": " + title + "\n"
	if remedy != "" {
		plain += http1.Sentence(remedy) + "\n"
	}
	if text != "" {
		plain += "\n" + text + "\n"
	}
	if !strings.Contains(ending, title) {
		failed += ": " + ending
	}
	title = html.EscapeString(title)
	header := "<header><p class=dim>" + html.EscapeString(failed) + "</p><h1>" + title + "</h1>"
	if remedy != "" {
		header += "<p>" + html.EscapeString(http1.Sentence(remedy)) + "</p>"
	}
	output := ""
	if text != "" {
		output = "<pre>" + html.EscapeString(text) + "</pre>\n"
	}
	page := http1.Document(title, failureHead, header+"</header><main>"+output+
		"<p class=dim>This page refreshes itself once the code loads.</p></main>")
	return &pool.Message{Kind: pool.Notice, Raw: page, Text: plain}
}

// asText replaces each object of the error log by the text that the log has without --error-log-format json.
func asText(stderr []byte) (text []byte) {
	for line := range bytes.Lines(stderr) {
		switch m, ok := logfile.ParseObject(string(line)); {
		case !ok:
			text = append(text, line...)
		case m.Traceback != "":
			text = append(append(text, m.Traceback...), '\n')
		default:
			text = append(append(append(text, "fapws: "...), m.Text...), '\n')
		}
	}
	return text
}

// cutRemedy removes the last line of a worker's output if fapws has written this line and the line contains title.
// remedy is the advice after title in this line, or "".
func cutRemedy(text, title string) (output, remedy string) {
	at := strings.LastIndexByte(text, '\n') + 1
	_, after, found := strings.Cut(text[at:], title)
	if !found || !strings.HasPrefix(text[at:], "fapws: ") {
		return text, ""
	}
	return strings.TrimRight(text[:at], "\n"), strings.TrimPrefix(after, "; ")
}

// escapes matches control sequences (ECMA-48 §5.4).
var escapes = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
})

// lastError returns the last line of a traceback, such as "ValueError: no"; if there is none, the last message of
// fapws.
func lastError(text string) string {
	lines := strings.Split(text, "\n")
	slices.Reverse(lines)
	for _, fits := range []func(string) bool{errorLine().MatchString, func(line string) bool {
		return strings.HasPrefix(line, "fapws: ")
	}} {
		if i := slices.IndexFunc(lines, fits); i >= 0 {
			return lines[i]
		}
	}
	return ""
}

var errorLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(
		`^([A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning|Group)\b|[a-z_][\w.]*\.[A-Z]\w*: )`)
})

package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/worker"
)

// query answers a worker about uploads, or for the status page. It is pool.Options.Query. Without the setting for the page,
// no worker asks for what that shows, and none is answered.
func (p *supervisor) query(what string) string {
	if about, ok := strings.CutPrefix(what, worker.QueryUploads+" "); ok {
		return p.uploads(about)
	}
	conf, _ := p.seen()
	if conf.Status == "" {
		return ""
	}
	c := control{p}
	var answer any
	switch what {
	case worker.QueryOverview:
		answer = ctl.Look(c)
	case worker.QueryMetrics:
		answer = c.Metrics()
	case worker.QueryLog:
		answer = c.log()
	case worker.QueryStack:
		answer = c.Stack()
	case worker.QueryProfile:
		answer = c.profile()
	case worker.QueryReload:
		answer = p.reloadFromPage()
	default:
		return ""
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return ""
	}
	return string(text)
}

// reloadPause is the minimum time between reloads from the status page: a worker, which orders them, must not keep all others loading.
const reloadPause = 5 * time.Second

// reloadFromPage answers worker.QueryReload.
func (p *supervisor) reloadFromPage() string {
	p.mu.Lock()
	since := time.Since(p.reloaded)
	if since >= reloadPause {
		p.reloaded = time.Now()
	}
	p.mu.Unlock()
	if since < reloadPause {
		return fmt.Sprintf("the last reload from the status page was less than %v ago; try again", reloadPause)
	}
	if err := (control{p}).reload("status page"); err != nil {
		return err.Error()
	}
	return ""
}

// uploads answers worker.QueryUploads.
func (p *supervisor) uploads(about string) string {
	asks, question, _ := strings.Cut(about, " ")
	ctx, cancel := context.WithTimeout(context.Background(), worker.UploadsWithin)
	defer cancel()
	answers := []string{}
	for _, reply := range p.pool.Ask(ctx, worker.AskUploads+" "+question) {
		if strconv.Itoa(reply.Pid) != asks {
			answers = append(answers, reply.Text)
		}
	}
	text, _ := json.Marshal(answers)
	return string(text)
}

// profile adds up what Python does in all workers.
func (c control) profile() (all worker.Profile) {
	ctx, cancel := context.WithTimeout(context.Background(), ctl.ProfileTime+worker.AnswerWithin)
	defer cancel()
	all.Why = "no worker answers"
	for _, reply := range c.p.pool.Ask(ctx, worker.AskProfile) {
		var one worker.Profile
		if json.Unmarshal([]byte(reply.Text), &one) != nil {
			continue
		}
		if one.Why == "" {
			all.Stacks, all.Why = append(all.Stacks, one.Stacks...), ""
		} else if len(all.Stacks) == 0 {
			all.Why = one.Why
		}
	}
	return all
}

// tellViewers has the viewers of the status page look again and again, as long as the supervisor lives.
func (p *supervisor) tellViewers() {
	event := worker.ViewEvent()
	for range time.Tick(ctl.ViewEvery) {
		p.pool.PublishOwn(ctl.StatusChannel, event)
	}
}

// log returns the last log lines of all processes.
func (c control) log() []ctl.Line {
	ctx, cancel := context.WithTimeout(context.Background(), worker.AnswerWithin)
	defer cancel()
	all := worker.LinesOf(&c.p.tail)
	for _, reply := range c.p.pool.Ask(ctx, worker.AskLog) {
		var some []ctl.Line
		if json.Unmarshal([]byte(reply.Text), &some) == nil {
			all = append(all, some...)
		}
	}
	return all
}

package supervisor

import (
	"context"
	"encoding/json"

	"fapws/cmd/fapws/ctl"
	"fapws/cmd/fapws/statuspage"
	"fapws/cmd/fapws/worker"
)

// query answers a worker that shows the status page. It is pool.Options.Query. Without the setting no worker asks, and none is
// answered.
func (p *process) query(what string) string {
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
	case worker.QueryReload:
		answer = ""
		if err := c.reload("status page"); err != nil {
			answer = err.Error()
		}
	default:
		return ""
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return ""
	}
	return string(text)
}

// log returns the last log lines of all processes.
func (c control) log() []statuspage.Line {
	ctx, cancel := context.WithTimeout(context.Background(), worker.AnswerWithin)
	defer cancel()
	all := worker.LinesOf(&c.p.tail)
	for _, reply := range c.p.pool.Ask(ctx, worker.AskLog) {
		var some []statuspage.Line
		if json.Unmarshal([]byte(reply.Text), &some) == nil {
			all = append(all, some...)
		}
	}
	return all
}

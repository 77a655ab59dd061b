package ctl

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

const maxPage = 40 << 10 // maximum size of the status page in bytes

func TestStatusPageIsSmallAndItsDataHasNoHTML(t *testing.T) {
	long := strings.Repeat(`<script>"&'`, 100)
	v := &View{Report: Report{App: long, Python: "3", Addresses: []string{long, long}, Failure: long}}
	var lines []Line
	rates := make([]float64, history)
	for i := range 1000 {
		v.Routes = append(v.Routes, RouteView{Host: long, Route: long, Requests: 1 << 40, Quantiles: Quantiles{N: 1}})
		v.Active = append(v.Active, Active{Worker: 1 << 20, Request: long, State: long, At: long, Age: 1e5})
		v.Report.Workers = append(v.Report.Workers, Worker{PID: 1 << 20, State: "serving", Age: 1e7})
		if i < logLines {
			lines = append(lines, Line{Text: long})
		}
	}
	page := document(v, lines, rates, true)
	n := len(page)
	checktest.Truef(t, n <= maxPage && n >= maxPage/2, "%d bytes", n)
	checktest.Equalf(t, strings.Count(page, "<script>"), 1, "text has become HTML")
}

func TestStatusPageMarksRequestsBeyondTheirTimeout(t *testing.T) {
	v := &View{Active: []Active{{Request: "GET /slow", Age: 4, Late: true}, {Request: "GET /", Age: 1}}}
	page := body(v, nil, nil)
	checktest.Truef(t, strings.Contains(page, `<td class="bad">4s`) && strings.Contains(page, "<td>1s"), "%s", page)
}

func TestTopOmitsRoutesRatherThanActiveRequestsOnASmallScreen(t *testing.T) {
	terminal := checktest.Try(os.OpenFile("/dev/ptmx", os.O_RDWR, 0)).Must(t)
	defer terminal.Close()
	checktest.Must(t, unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	v := &View{Active: []Active{{Request: "GET /slow", State: "running", At: "app.py:4"}}}
	for i := range 30 {
		v.Routes = append(v.Routes, RouteView{Route: fmt.Sprintf("/%d", i)})
	}
	lines := v.lines(&screen{terminal: terminal}, 0)
	text := strings.Join(lines, "\n")
	checktest.Truef(t, len(lines) == 23 && strings.Contains(text, "app.py:4") && strings.Contains(text, " more routes\n"),
		"%d lines:\n%s", len(lines), text)
}

func TestFlameGraphHasWidthsByShareAndStaysSmall(t *testing.T) {
	graph := flame([]StatusStack{{[]string{"a (x.py)", "b (x.py)"}, 600}, {[]string{"a (x.py)", "c (x.py)"}, 200},
		{[]string{"a (x.py)"}, 195}, {[]string{"rare (x.py)"}, 5}})
	for _, want := range []string{
		`<b title="all, 100.0 %">all</b>`,
		`<div style="width:99.5%"><b title="a (x.py), 99.5 %">a</b>`,
		`<div style="width:60.3%"><b title="b (x.py), 60.0 %">b</b></div>`,
		`<tr><td>20.0 %<td class="l">c (x.py)</tr>`,
	} {
		checktest.Truef(t, strings.Contains(graph, want), "no %s in %s", want, graph)
	}
	checktest.Truef(t, !strings.Contains(graph, `title="rare`), "a function that hardly ran is in the graph")
	var stacks []StatusStack
	for i := range 5000 {
		s := StatusStack{N: 1 + i%7}
		for k := range 60 {
			s.Frames = append(s.Frames, fmt.Sprintf("<b>%d (%s)", i>>(k%12), strings.Repeat("/long", 30)))
		}
		stacks = append(stacks, s)
	}
	n := len(flame(stacks))
	checktest.Truef(t, n <= maxPage/2, "%d bytes", n)
	checktest.Has(t, flame(nil), "No Python code has run")
}

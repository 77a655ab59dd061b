package pybridge

import (
	"fmt"
	"testing"

	"fapws/runtime/checktest"
)

func TestWarningAboutBusyThreadsNamesTheHandlersOnThreads(t *testing.T) {
	on := func(request, at string) ActiveRequest {
		return ActiveRequest{Request: request, State: onThread + "1", At: at}
	}
	var many []ActiveRequest
	for i := range tellMost + 2 {
		many = append(many, on(fmt.Sprint("GET /", i), ""))
	}
	for _, c := range []struct {
		active []ActiveRequest
		want   string
	}{
		{nil, ""}, // all handlers have ended since the warning was due
		{[]ActiveRequest{{Request: "GET /", State: "queued"}}, ""},
		{[]ActiveRequest{on("GET /", "app.py:1 in f"), {Request: "GET /b", State: "queued"}},
			"they run GET / at app.py:1 in f; "},
		{[]ActiveRequest{on("GET /a", ""), on("GET /b", "b.py:2 in g"), on("GET /b", "b.py:2 in g")},
			"they run GET /b at b.py:2 in g (2 times), GET /a; "},
		{many, "they run GET /0, GET /1, GET /2, GET /3, GET /4, and 2 others; "},
	} {
		checktest.Equal(t, whereBusy(c.active), c.want)
	}
}

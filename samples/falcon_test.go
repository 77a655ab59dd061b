package samples

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestFalconSampleManagesTasks(t *testing.T) {
	t.Parallel()
	withFramework(t, "falcon", "falcon/app.py", func(t *testing.T, s *server) {
		resp := s.post("/todo", asJSON, unknownLength{strings.NewReader(`{"text": "Learn Falcon ☕"}`)}).want(201)
		item := resp.Header.Get("Location")
		fapwstest.Needf(t, regexp.MustCompile(`^/todo/\d+$`).MatchString(item), "Location %q", item)
		// Send these requests in order, to the created task or to the list of all tasks.
		for _, c := range []struct {
			method, path, contentType, body string
			status                          int
			text                            string
		}{
			{"GET", item, "", "", 200, `"text": "Learn Falcon ☕", "done": false`},
			{"PUT", item, asJSON, `{"text": "Know Falcon", "done": true}`, 200, `"done": true`},
			{"GET", "/todo", "", "", 200, `"text": "Know Falcon", "done": true`},
			{"POST", "/todo", asJSON, `{"text": `, 400, `"title": "Invalid JSON"`},
			{"POST", "/todo", asJSON, "", 400, `"title": "Invalid JSON"`},
			{"POST", "/todo", "text/plain", `{"text": "x"}`, 415, "415 Unsupported Media Type"},
			{"POST", "/todo", asJSON, `{"txt": "x"}`, 422, `a \"text\" is needed`},
			{"POST", "/todo", asJSON, `["x"]`, 422, ""},
			{"PUT", "/todo/9999", asJSON, `{"text": "x"}`, 404, "there is no item 9999"},
			{"PATCH", item, asJSON, `{"text": "x"}`, 405, ""},
			{"GET", "/todo/x", "", "", 404, ""},
			{"DELETE", item, "", "", 204, ""},
			{"DELETE", item, "", "", 404, "there is no item"},
			{"GET", item, "", "", 404, ""},
			{"GET", "/todo", "", "", 200, "[]"},
		} {
			req := s.request(c.method, c.path, strings.NewReader(c.body))
			if c.contentType != "" {
				req.Header.Set("Content-Type", c.contentType)
			}
			resp := s.do(req).want(c.status, c.text)
			fapwstest.Truef(t, c.status != 405 || strings.Contains(resp.Header.Get("Allow"), "DELETE"),
				"Allow: %q", resp.Header.Get("Allow"))
			fapwstest.Truef(t, c.status != 204 || resp.body == "" && resp.Header.Get("Content-Length") == "",
				"204 with %q, Content-Length %q", resp.body, resp.Header.Get("Content-Length"))
		}
		// The database numbers the entries, so the numbers increase whichever process answers.
		for i := range 8 {
			s.post("/todo", asJSON, strings.NewReader(fmt.Sprintf(`{"text": "%d"}`, i))).want(201,
				fmt.Sprintf(`"id": %d`, i+2))
		}
		s.fails("/fails", "RuntimeError: this resource always fails")
	})
}

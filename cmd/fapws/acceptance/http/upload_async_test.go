package http_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestUploadHandlerMayBeAsyncOrASGI(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		dir := t.TempDir()
		s := fapwstest.Command{Script: "upload_async.py", Dir: dir}.Serve(t, m)
		text := random(300_000)
		for _, path := range []string{"/async", "/asgi"} {
			s.Ask(fapwstest.Request("PUT", path+"/a", text)).Want(t, 202, sum(text)+" b''").Field(t, "X-Name", "a")
			body, kind := form(t, "a@b="+text)
			s.Ask(fapwstest.Request("POST", path, body, kind)).Want(t, 202, sum(text)+" b''")
			c := &tusClient{s: s}
			c.create(path, int64(len(text)), "filename", "c").Want(t, 201)
			a := c.patch(0, text).Want(t, 204).Field(t, "X-Name", "c")
			fapwstest.Truef(t, a.Text == "" && a.Header.Get("Content-Type") == "", "%s: the answer has a body: %v %q", path,
				a.Header, a.Text)
		}
		stored(t, filepath.Join(dir, "files"), map[string]string{"a": text, "b": text, "c": text})
	})
}

func TestWorkersShareTheProgressOfUploads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := fapwstest.Command{Flags: []string{"--threads", "1"}, Script: "upload_workers.py", Dir: dir}.Serve(t,
		fapwstest.Workers)
	connect := func() (w *fapwstest.Client, worker string) {
		w = s.Dial()
		return w, w.Fetch("/pid").Text
	}
	one, first := connect()
	var other *fapwstest.Client
	fapwstest.Eventually(t, "a connection is accepted by the other worker", func() bool {
		var second string
		other, second = connect()
		return second != first
	})
	text := random(100_000)
	request := fapwstest.Request("PUT", "/files/a?id=7", text)
	other.Send(request[:len(request)-50_000])
	shows := func(path, want string) bool {
		return one.Fetch(path).Want(t, 200).Text == `{"uploads":[`+want+"]}\n"
	}
	report := `{"id":"7","name":"a","received":%d,"size":100000,"state":"%s"}`
	fapwstest.Eventually(t, "the upload is seen", func() bool {
		return shows("/files", fmt.Sprintf(report, 50_000, "receiving"))
	})
	fapwstest.Truef(t, shows("/other", ""), "the upload is seen elsewhere")
	other.Send(request[len(request)-50_000:])
	other.Answer().Want(t, 201)
	fapwstest.Eventually(t, "its end is seen", func() bool {
		return shows("/files", fmt.Sprintf(report, 100_000, "stored"))
	})
	_, err := os.Stat(filepath.Join(dir, "files", "a"))
	fapwstest.Equal(t, err, nil)
}

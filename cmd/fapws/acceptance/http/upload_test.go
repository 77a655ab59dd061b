package http_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func serveUploads(t *testing.T, m fapwstest.Mode, flags ...string) (s *fapwstest.Server, dir string) {
	t.Helper()
	dir = t.TempDir()
	return fapwstest.Command{Flags: flags, Script: "upload.py", Dir: dir}.Serve(t, m), dir
}

func stored(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	fapwstest.Equalf(t, contents(t, dir), slices.Sorted(maps.Keys(want)), "%s", dir)
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(dir, name))
		fapwstest.Equalf(t, string(got), content, "%s: %v", name, err)
	}
}

func contents(t *testing.T, dir string) (all []string) {
	t.Helper()
	for _, e := range fapwstest.Try(os.ReadDir(dir)).Must(t) {
		all = append(all, e.Name())
	}
	return all
}

func random(n int) string {
	var b strings.Builder
	for sum := sha256.Sum256(nil); b.Len() < n; sum = sha256.Sum256(sum[:]) {
		b.Write(sum[:])
	}
	return b.String()[:n]
}

func sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

func reprDigest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// form returns the body of a form and its Content-Type. Each part is "field", "field=value", or "field@name=content"
// for a file called name.
func form(t *testing.T, parts ...string) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, part := range parts {
		name, value, _ := strings.Cut(part, "=")
		var to io.Writer
		var err error
		if field, file, isFile := strings.Cut(name, "@"); isFile {
			to, err = w.CreateFormFile(field, file)
		} else {
			to, err = w.CreateFormField(name)
		}
		fapwstest.Must(t, err)
		io.WriteString(to, value)
	}
	w.Close()
	return b.String(), "Content-Type: " + w.FormDataContentType()
}

func TestUploadHandlerRunsAfterTheFilesHaveTheirNames(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Forks},
		func(t *testing.T, m fapwstest.Mode) {
			s, dir := serveUploads(t, m)
			want := map[string]string{}
			check := func(a *fapwstest.Answer, files ...string) map[string]any {
				t.Helper()
				answer := a.Want(t, 202).Object(t)
				for i, name := range files {
					f := answer["files"].([]any)[i].(map[string]any)
					size := float64(len(want[name]))
					fapwstest.Truef(t, f["name"] == name && f["size"] == size && f["read"] == size && f["sha256"] == sum(want[name]) &&
						f["path"] == filepath.Join(dir, "files", name), "%s is %v", name, f)
				}
				fapwstest.Truef(t, answer["body"] == "" && len(answer["files"].([]any)) == len(files), "got %v", answer)
				return answer
			}
			for i, size := range []int{0, 1, 70_000, 1_500_000} {
				name := fmt.Sprintf("file %d.bin", i)
				want[name] = random(size)
				target := "/files/" + strings.ReplaceAll(name, " ", "%20")
				answer := check(s.Ask(fapwstest.Request("PUT", target+"?id=my-id", want[name], "Repr-Digest: "+
					reprDigest(want[name]))), name)
				fapwstest.Truef(t, answer["id"] == "my-id" && answer["method"] == "PUT" && answer["path"] == "/files|/"+name,
					"got %v", answer)
				if size > 0 {
					s.Ask(fapwstest.Request("PUT", "/length", want[name], "Repr-Digest: "+reprDigest(want[name]))).Is(t,
						strconv.Itoa(size))
				}
				check(s.Ask(fapwstest.Chunked("POST", target, want[name], 30_001, "Content-Digest: "+
					reprDigest(want[name]))), name)
			}
			want["one.txt"], want["zwei ü.txt"] = random(300_000), "2"
			body, kind := form(t, "note=a", "a@one.txt="+want["one.txt"], "note=b", "empty=", "b@zwei ü.txt="+
				want["zwei ü.txt"])
			answer := check(s.Ask(fapwstest.Request("POST", "/files", body, kind)), "one.txt", "zwei ü.txt")
			fields := fmt.Sprint(answer["fields"])
			fapwstest.Truef(t, fields == "map[empty:[] note:[a b]]" && answer["note"] == "a", "fields %s", fields)
			check(s.Ask(fapwstest.Chunked("POST", "/files", body, 1, kind)), "one.txt", "zwei ü.txt")
			stored(t, filepath.Join(dir, "files"), want)
		})
}

func TestUploadWithoutAHandlerIsAnsweredByTheServer(t *testing.T) {
	t.Parallel()
	s, dir := serveUploads(t, fapwstest.Threads)
	w := s.Dial()
	text := random(100_000)
	for range 2 {
		w.Ask(fapwstest.Request("PUT", "/bare/a", text)).Want(t, 201, `"name":"a"`)
	}
	s.Ask(fapwstest.Request("PUT", "/one", text)).Want(t, 201, `"name":"one.bin"`, `"sha256":"`+sum(text)+`"`)
	body, kind := form(t, "f@whatever=new", "sha256="+sum("new"))
	a := s.Ask(fapwstest.Request("POST", "/one", body, kind)).Want(t, 201, `"name":"whatever"`)
	fapwstest.Truef(t, !strings.Contains(a.Text, dir), "the client learns of the path: %s", a.Text)
	got, _ := os.ReadFile(filepath.Join(dir, "one.bin"))
	fapwstest.Equalf(t, string(got), "new", "one.bin")
	s.Ask(fapwstest.Request("PUT", "/new/x", "1", "Origin: https://other.example")).Want(t, 201)
	s.Ask(fapwstest.Request("PUT", "/new/x", "2")).Want(t, 409)
	s.Ask(fapwstest.Request("PUT", "/new/y", "3", "Sec-Fetch-Site: same-origin")).Want(t, 201)
	s.Ask(fapwstest.Request("PUT", "/new/z", "4", "Origin: http://test")).Want(t, 201)
	stored(t, filepath.Join(dir, "new"), map[string]string{"x": "1", "y": "3", "z": "4"})
	a = s.Get("/new", 200)
	a.Field(t, "Content-Type", "application/json")
	fapwstest.Truef(t, strings.Count(a.Text, `"stored"`) == 3 && strings.Count(a.Text, `"failed"`) == 1, "%q", a.Text)
}

func TestUploadThatIsTooLargeLeavesALineWithTheLimit(t *testing.T) {
	t.Parallel()
	s, _ := serveUploads(t, fapwstest.Threads)
	s.Ask(fapwstest.Request("PUT", "/bare/a", random(1<<20+1))).Want(t, 413, "the upload is too large")
	s.Says(`warning client \S+: sent 413: the upload is too large: size 1048577 or more, limit 1048576 \(max-size\)\n`)
}

func TestRejectedUploadGetsAClearResponseAndLeavesNoFiles(t *testing.T) {
	t.Parallel()
	s, dir := serveUploads(t, fapwstest.Threads)
	text := random(200_000)
	twice, twiceType := form(t, "a@x=1", "b@x=2")
	none, noneType := form(t, "a=1")
	wrong, wrongType := form(t, "a@x=1", "sha256="+sum("2"))
	outside, outsideType := form(t, "a@../x=1")
	several, severalType := form(t, "a@x=1", "a@y=1")
	for what, c := range map[string]struct {
		request string
		status  int
		text    string
	}{
		"no name":             {fapwstest.Request("PUT", "/bare", text), 400, "no file name"},
		"hidden":              {fapwstest.Request("PUT", "/bare/.x", text), 400, "dot"},
		"an encoded slash":    {fapwstest.Request("PUT", "/bare/a%5cb", text), 400, "slashes"},
		"a control character": {fapwstest.Request("PUT", "/bare/a%0ab", text), 400, ""},
		"a long name":         {fapwstest.Request("PUT", "/bare/"+strings.Repeat("x", 256), text), 400, "too long"},
		"not UTF-8":           {fapwstest.Request("PUT", "/bare/%ff", text), 400, "UTF-8"},
		"a directory":         {fapwstest.Request("PUT", "/bare/a/b", text), 400, "slashes"},
		"outside":             {fapwstest.Request("POST", "/bare", outside, outsideType), 400, "slashes"},
		"below a file":        {fapwstest.Request("PUT", "/one/x", text), 404, ""},
		"too large":           {fapwstest.Request("PUT", "/bare/a", random(1<<20+1)), 413, "at most 1 MB"},
		"too large chunks":    {fapwstest.Chunked("PUT", "/bare/a", random(1<<20+1), 8000), 413, "at most 1 MB"},
		"another digest": {fapwstest.Request("PUT", "/bare/a", text, "Repr-Digest: "+reprDigest("other")), 400,
			sum(text)},
		"no digest":    {fapwstest.Request("PUT", "/bare/a", text, "Content-Digest: md5=:YQ==:"), 400, "sha-256"},
		"a coding":     {fapwstest.Request("PUT", "/bare/a", text, "Content-Encoding: gzip"), 415, ""},
		"a range":      {fapwstest.Request("PUT", "/bare/a", text, "Content-Range: bytes 0-1/2"), 400, ""},
		"another page": {fapwstest.Request("PUT", "/bare/a", text, "Origin: https://evil.example"), 403, "other sites"},
		"another site": {fapwstest.Request("PUT", "/bare/a", text, "Sec-Fetch-Site: cross-site",
			"Origin: http://test"), 403, "other sites"},
		"an unknown method": {fapwstest.Request("REPORT", "/bare/a", text), 405, ""},
		"one name twice":    {fapwstest.Request("POST", "/bare", twice, twiceType), 400, "two files"},
		"no file":           {fapwstest.Request("POST", "/bare", none, noneType), 400, "no file"},
		"another sum":       {fapwstest.Request("POST", "/bare", wrong, wrongType), 400, sum("1")},
		"two for one path":  {fapwstest.Request("POST", "/one", several, severalType), 413, "too many"},
		"cut off":           {fapwstest.Request("POST", "/bare", several[:len(several)-8], severalType), 400, "ends before"},
		"a form of names": {fapwstest.Request("POST", "/one", "file=x",
			"Content-Type: application/x-www-form-urlencoded"), 415, "enctype"},
		"no boundary": {fapwstest.Request("POST", "/bare", several, "Content-Type: multipart/form-data"), 400, "boundary"},
	} {
		t.Run(what, func(t *testing.T) { s.Ask(c.request).Want(t, c.status, c.text) })
	}
	for what, c := range map[string]struct {
		target, length string
		status         int
	}{
		"too large":    {"/bare/a", "1048577", 413},
		"no room":      {"/new/a", "1152921504606846976", 507},
		"not a name":   {"/new/.a", "1", 400},
		"another site": {"/new/a", "1", 403},
		"no login":     {"/private/a", "1", 401},
	} {
		w := s.Dial()
		w.Send("PUT " + c.target + " HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: " + c.length +
			"\r\n" + map[bool]string{true: "Origin: null\r\n"}[c.status == 403] + "\r\n")
		w.Answer().Want(t, c.status)
		t.Log(what)
		w.Closed()
	}
	w := s.Dial()
	w.Send("POST /new HTTP/1.1\r\nHost: test\r\nContent-Length: 1152921504606846976\r\n"+severalType+"\r\n\r\n",
		several[:len(several)/2])
	w.Answer().Want(t, 507)
	for _, name := range []string{"bare", "new"} {
		stored(t, filepath.Join(dir, name), nil)
	}
	fapwstest.Truef(t, !fapwstest.Exists(filepath.Join(dir, "one.bin")), "there is one.bin")
}

func TestAbortedUploadsLeaveNoFiles(t *testing.T) {
	t.Parallel()
	s, dir := serveUploads(t, fapwstest.Threads, "--body-timeout", "1h", "--body-min-rate", "0")
	bare := filepath.Join(dir, "bare")
	text := random(300_000)
	request := fapwstest.Request("PUT", "/bare/a", text)
	half := len(request) - len(text)/2
	receiving := func(n int) {
		t.Helper()
		fapwstest.Eventually(t, "the upload is under way", func() bool {
			return strings.Count(s.Get("/bare", 200).Text, `"receiving"`) == n
		})
	}

	w := s.DialSend(request[:half])
	receiving(1)
	// The server writes to the file only after it has reserved the file name for the upload.
	fapwstest.Eventually(t, "the upload has the name", func() bool {
		hidden, _ := filepath.Glob(filepath.Join(bare, ".fapws-*"))
		if len(hidden) != 1 {
			return false
		}
		info, err := os.Stat(hidden[0])
		return err == nil && info.Size() > 0
	})
	s.Ask(request).Want(t, 423, "another upload")
	left := contents(t, bare)
	fapwstest.Truef(t, len(left) == 1 && strings.HasPrefix(left[0], ".fapws-"), "meanwhile there are %q", left)
	w.Reset()
	receiving(0)
	stored(t, bare, nil)

	all := []*fapwstest.Client{s.Dial(), s.Dial(), s.DialFrom("127.0.0.2")}
	for i, w := range all {
		w.Send(fmt.Sprintf("PUT /bare/%d HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", i))
		r := w.Head("PUT")
		fapwstest.Needf(t, r.StatusCode == 100, "%q", r.Status)
		if i == 1 {
			s.Ask(fapwstest.Request("PUT", "/bare/b", "x")).Want(t, 503, "too many")
		}
	}
	s.DialFrom("127.0.0.3").Ask(fapwstest.Request("PUT", "/bare/b", "x")).Want(t, 503, "too many")
	for _, w := range all {
		w.Send("x")
		w.Answer().Want(t, 201)
	}

	s, dir = serveUploads(t, fapwstest.Threads, "--body-timeout", "1s")
	bare = filepath.Join(dir, "bare")
	w = s.Dial()
	w.Ask(request[:half]).Want(t, 408, "body")
	receiving(0)
	stored(t, bare, nil)
	fapwstest.Eventually(t, "a client that is in time can use the name", func() bool {
		return s.Ask(request).StatusCode == 201
	})
	stored(t, bare, map[string]string{"a": text})
}

func TestUploadsToAFIFOAreWrittenOneAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Must(t, syscall.Mkfifo(dir+"/fifo", 0o600))
	script := fapwstest.Write(t, dir+"/app.py",
		"import fapws\nPATHS = [('/fifo', fapws.upload('fifo', sync=4096)), ('/null', fapws.upload('/dev/null'))]\n")
	s := fapwstest.Command{Script: script, Dir: dir}.Serve(t, fapwstest.Threads)
	s.Ask(fapwstest.Request("PUT", "/null", "a device is written to")).Want(t, 201)
	st, err := os.Stat("/dev/null")
	fapwstest.Truef(t, err == nil && st.Mode()&os.ModeDevice != 0, "%v, %v", st, err)
	s.Ask(fapwstest.Request("PUT", "/fifo", "x")).Want(t, 503, "no program reads")
	reader := fapwstest.Try(os.OpenFile(dir+"/fifo", os.O_RDONLY|syscall.O_NONBLOCK, 0)).Must(t)
	defer reader.Close()
	receiving := func(want bool) {
		t.Helper()
		fapwstest.Eventually(t, "the upload is under way, or over", func() bool {
			return strings.Contains(s.Get("/fifo", 200).Text, `"size":300000,"state":"receiving"`) == want
		})
	}
	received := func() string {
		t.Helper()
		return string(fapwstest.Try(io.ReadAll(reader)).Must(t))
	}

	text := random(300_000)
	w := s.DialSend(fapwstest.Request("PUT", "/fifo", text)[:200_000])
	receiving(true)
	fapwstest.Eventually(t, "it has the FIFO", func() bool {
		return s.Ask(fapwstest.Request("PUT", "/fifo", "")).StatusCode == 423
	})
	w.Reset()
	receiving(false)
	got := received()
	fapwstest.Truef(t, got != "" && strings.HasPrefix(text, got), "the reader got %d other bytes", len(got))
	s.Ask(fapwstest.Request("PUT", "/fifo", "next")).Want(t, 201)
	fapwstest.Equalf(t, received(), "next", "what the reader got")
}

func TestUploadToAFullDiskGets507AndLeavesNoFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := fapwstest.Command{Script: "upload.py", Dir: dir, Shell: "ulimit -f 256", Complains: true}.Serve(t,
		fapwstest.Threads)
	text := random(300_000)
	s.Ask(fapwstest.Chunked("PUT", "/bare/a", text, 60_000)).Want(t, 507, "space")
	s.Ask(fapwstest.Request("PUT", "/bare/a", text)).Want(t, 507, "space")
	s.Ask(fapwstest.Request("PUT", "/bare/b", text[:100_000])).Want(t, 201)
	stored(t, filepath.Join(dir, "bare"), map[string]string{"b": text[:100_000]})
	s.Says("not enough space")
}

func TestUploadGeneratorGetsThePiecesAndTheResult(t *testing.T) {
	fapwstest.InOneProcess(t, func(t *testing.T, m fapwstest.Mode) {
		dir := t.TempDir()
		s := fapwstest.Command{Script: "upload_pieces.py", Dir: dir, Complains: true}.Serve(t, m)
		log := func(want ...string) {
			t.Helper()
			name := filepath.Join(dir, "flash.log")
			fapwstest.Eventually(t, strings.Join(want, ", "), func() bool {
				return fapwstest.TextOf(t, name) == strings.Join(want, "\n")+"\n"
			})
			fapwstest.Must(t, os.Remove(name))
		}
		text := random(150_000)
		s.Ask(fapwstest.Request("PUT", "/flash", text)).Is(t, "150000 "+sum(text))
		log("begin  150000", "65536", "65536", "18928", "end")
		got, _ := os.ReadFile(filepath.Join(dir, "flash.bin"))
		fapwstest.Equal(t, string(got), text)
		body, kind := form(t, "a@x.bin="+text)
		s.Ask(fapwstest.Chunked("POST", "/flash", body, 100, kind)).Is(t, "150000 "+sum(text))
		log("begin x.bin -1", "65536", "65536", "18928", "end")
		s.Ask(fapwstest.Request("PUT", "/flash", "bad"+text)).Want(t, 422, "not an image")
		log("begin  150003", "65536")
		s.Ask(fapwstest.Request("PUT", "/flash", "bug")).Want(t, 500)
		log("begin  3", "3")
		s.Ask(fapwstest.Request("PUT", "/flash", text, "Repr-Digest: "+reprDigest(""))).Want(t, 400)
		log("begin  150000", "65536", "65536", "broke off")
		w := s.DialSend(fapwstest.Request("PUT", "/flash", text)[:100_000])
		fapwstest.Eventually(t, "a piece", func() bool {
			return strings.HasSuffix(fapwstest.TextOf(t, filepath.Join(dir, "flash.log")), "65536\n")
		})
		w.Reset()
		log("begin  150000", "65536", "broke off")
		s.Ask(fapwstest.Request("POST", "/around",
			`{"id":"1","files":[{"name":"x","path":"/etc/passwd","size":1,"sha256":""}]}`)).Want(t, 500)
		s.Says("only the server may call it")
	})
}

func TestUploadDirectoriesAreWritableInTheSandbox(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		s, dir := serveUploads(t, m, "--sandbox")
		s.Ask(fapwstest.Request("PUT", "/files/a", "1")).Want(t, 202, `"read": 1`)
		s.Ask(fapwstest.Request("PUT", "/one", "2")).Want(t, 201)
		stored(t, filepath.Join(dir, "files"), map[string]string{"a": "1"})
	})
}

func TestUploadRouteChecksItsRulesBeforeTheBody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := fapwstest.Write(t, filepath.Join(dir, "fapws.toml"), `
[[host]]
[[host.route]]
prefix = "/in"
upload = { to = ".", max-size = "1K", replace = false, mode = "0600", `+
		`sync = "4K", channel = "c", expires = "1h", max-active = 1, resumable = false }
methods = ["PUT", "POST"]
[[host.route]]
prefix = "/one"
upload = "one.bin"
deny = ["all"]
`)
	s := fapwstest.Command{Flags: []string{"-c", config}}.Serve(t, fapwstest.Workers)
	s.Ask(fapwstest.Request("PUT", "/in/a", "1")).Want(t, 201, `"name":"a"`)
	s.Ask(fapwstest.Request("PUT", "/in/a", "2")).Want(t, 409)
	s.Ask(fapwstest.Request("PUT", "/in/b", random(1025))).Want(t, 413, "at most 1 KB")
	s.Get("/in", 405)
	s.Ask(fapwstest.Request("POST", "/in", "", tusVersion, "Upload-Length: 1", "Content-Length: 0")).Want(t, 412,
		"resumed")
	s.Ask(fapwstest.Request("PUT", "/one", "1")).Want(t, 403)
	fapwstest.Equal(t, fapwstest.Try(os.Stat(dir+"/a")).Must(t).Mode().Perm(), 0o600)
	fapwstest.Equalf(t, contents(t, dir), []string{"a", "fapws.toml"}, "files")
}

func TestUploadProgressIsPublishedByAnyWorker(t *testing.T) {
	t.Parallel()
	s, _ := serveUploads(t, fapwstest.Workers)
	events := s.DialGet("/progress")
	events.Head("GET")
	for line := ""; !strings.HasPrefix(line, "retry: "); {
		var err error
		line, err = events.In.ReadString('\n')
		fapwstest.Must(t, err)
	}
	text := random(500_000)
	s.Ask(fapwstest.Request("PUT", "/files/a?id=7", text)).Want(t, 202)
	s.Ask(fapwstest.Request("PUT", "/files/.b?id=8", text)).Want(t, 400)
	const (
		first  = `{"id":"7","name":"a","received":0,"size":500000,"state":"receiving"}`
		stored = `{"id":"7","name":"a","received":500000,"size":500000,"state":"stored"}`
		failed = `{"id":"8","name":"","received":0,"size":500000,"state":"failed",` +
			`"error":"the file name must not begin with a dot"}`
	)
	var got []string
	for !slices.Contains(got, stored) || !slices.Contains(got, failed) {
		line, err := events.In.ReadString('\n')
		fapwstest.Needf(t, err == nil, "events %q, then %v", got, err)
		if data, isData := strings.CutPrefix(line, "data: "); isData {
			got = append(got, strings.TrimSpace(data))
		}
	}
	fapwstest.Truef(t, slices.Contains(got, first) && slices.Index(got, first) <= slices.Index(got, stored), "events %q",
		got)
}

func TestUploadContinuesInItsWorkerDuringAReload(t *testing.T) {
	t.Parallel()
	s, dir := serveUploads(t, fapwstest.Workers)
	text := random(300_000)
	request := fapwstest.Request("PUT", "/files/a", text)
	w := s.DialSend(request[:len(request)-1])
	fapwstest.Eventually(t, "a temporary file", func() bool { return len(contents(t, filepath.Join(dir, "files"))) == 1 })
	old := s.Workers()
	s.Reload()
	s.Ask(fapwstest.Request("PUT", "/files/a", text)).Want(t, 423) // an upload in the old worker has reserved the name
	w.Ask(request[len(request)-1:]).Want(t, 202)
	s.HasWorkers(2, old...)
	stored(t, filepath.Join(dir, "files"), map[string]string{"a": text})
}

// The environment variable FAPWS_UPLOAD_MIB (default 24) is the size of the upload in MiB.
func TestUploadMemoryDoesNotDependOnTheSize(t *testing.T) {
	t.Parallel()
	size := fapwstest.Amount(t, "FAPWS_UPLOAD_MIB", 24)
	s, _ := serveUploads(t, fapwstest.Mode{Flags: []string{"--workers", "1"}})
	worker := s.Workers()[0]
	piece := random(1 << 20)
	send := func(pieces int, before, after string, fields ...string) (most int) {
		w := s.Dial()
		w.Send(fapwstest.Request("POST", "/one", "",
			append(fields, fmt.Sprintf("Content-Length: %d", len(before)+pieces*len(piece)+len(after)))...), before)
		for range pieces {
			w.Send(piece)
			most = max(most, dirty(t, worker))
		}
		w.Send(after)
		w.Answer().Want(t, 201)
		return max(most, dirty(t, worker))
	}
	body, kind := form(t, "a@b=|")
	head, tail, _ := strings.Cut(body, "|")
	send(2, "", "")
	send(2, head, tail, kind)
	for what, measure := range map[string]func() int{
		"body": func() int { return send(size, "", "") },
		"form": func() int { return send(size, head, tail, kind) },
	} {
		// On a busy machine, the memory grows by a thread or a buffer in some attempts, but only a leak makes it grow
		// in all.
		for tries := 1; ; tries++ {
			before := dirty(t, worker)
			grown := measure() - before
			t.Logf("%d MiB, %s: %d KiB more than before", size, what, grown>>10)
			if grown <= 2<<20 {
				break
			}
			if tries == 3 {
				t.Errorf("an upload of %d MiB (%s) took %d KiB", size, what, grown>>10)
				break
			}
		}
	}
}

// dirty returns the private memory of a process that the kernel cannot drop, in bytes. The pages of the executable do
// not count, because the kernel can read them again from the file.
func dirty(t *testing.T, pid int) int {
	t.Helper()
	text := fapwstest.Read(t, fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(text) {
		var kib int
		if n, _ := fmt.Sscanf(line, "Private_Dirty: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	t.Fatalf("no Private_Dirty in %s", text)
	return 0
}

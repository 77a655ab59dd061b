package http_test

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const tusVersion = "Tus-Resumable: 1.0.0"

type tusClient struct {
	s        *fapwstest.Server
	location string
}

func (c *tusClient) ask(method, target, body string, fields ...string) *fapwstest.Answer {
	c.s.T.Helper()
	a := c.s.Ask(fapwstest.Request(method, target, body, append(fields, tusVersion)...))
	fapwstest.Equalf(c.s.T, a.Header.Get("Tus-Resumable"), "1.0.0", "%s %s: Tus-Resumable", method, target)
	return a
}

// create requests an upload of length bytes. metadata contains names and values, in turn.
func (c *tusClient) create(target string, length int64, metadata ...string) *fapwstest.Answer {
	c.s.T.Helper()
	var pairs []string
	for i := 0; i < len(metadata); i += 2 {
		pairs = append(pairs, metadata[i]+" "+base64.StdEncoding.EncodeToString([]byte(metadata[i+1])))
	}
	a := c.ask("POST", target, "", fmt.Sprintf("Upload-Length: %d", length), "Upload-Metadata: "+
		strings.Join(pairs, ","), "Content-Length: 0")
	c.location = a.Header.Get("Location")
	return a
}

func (c *tusClient) offset(length int) int {
	c.s.T.Helper()
	a := c.s.DialSend(fapwstest.Request("HEAD", c.location, "", tusVersion))
	answer := a.AnswerTo("HEAD").Want(c.s.T, 200).Field(c.s.T, "Cache-Control", "no-store").Field(c.s.T,
		"Upload-Length", strconv.Itoa(length))
	_, err := time.Parse(time.RFC1123, answer.Header.Get("Upload-Expires"))
	fapwstest.Equal(c.s.T, err, nil)
	return fapwstest.Try(strconv.Atoi(answer.Header.Get("Upload-Offset"))).Must(c.s.T)
}

const tusType = "Content-Type: application/offset+octet-stream"

func (c *tusClient) patch(offset int, body string, fields ...string) *fapwstest.Answer {
	c.s.T.Helper()
	return c.ask("PATCH", c.location, body, append(fields, tusType, fmt.Sprintf("Upload-Offset: %d", offset))...)
}

func sha1Of(text string) string {
	sum := sha1.Sum([]byte(text))
	return "Upload-Checksum: sha1 " + base64.StdEncoding.EncodeToString(sum[:])
}

func TestInterruptedTusUploadContinuesAfterARestart(t *testing.T) {
	t.Parallel()
	s, dir := serveUploads(t, fapwstest.Threads)
	files := filepath.Join(dir, "files")
	text := random(700_000)
	c := &tusClient{s: s}
	c.create("/files", int64(len(text)), "filename", "ü 1.bin", "filetype", "application/x", "note", "a note", "sha256",
		sum(text)).Want(t, 201).Field(t, "Upload-Offset", "0")
	fapwstest.Equalf(t, c.offset(len(text)), 0, "offset")
	c.patch(0, text[:100_000], sha1Of(text[:100_000])).Want(t, 204).Field(t, "Upload-Offset", "100000")
	c.patch(100_000, text[100_000:200_000], sha1Of("other")).Want(t, 460, "checksum")
	c.patch(100_000, "x", "Upload-Checksum: md5 YQ==").Want(t, 400, "sha1")
	c.patch(99_999, "x").Want(t, 409, "100000")

	w := s.Dial()
	w.Send(fmt.Sprintf("PATCH %s HTTP/1.1\r\nHost: test\r\n%s\r\n%s\r\nUpload-Offset: 100000\r\nContent-Length: "+
		"600000\r\n\r\n", c.location, tusVersion, tusType), text[100_000:300_000])
	partial := func() (size int64) {
		for _, name := range contents(t, files) {
			if st, err := os.Stat(filepath.Join(files, name)); err == nil && strings.HasSuffix(name, ".tus") {
				size = st.Size()
			}
		}
		return size
	}
	fapwstest.Eventually(t, "the bytes are on the disk", func() bool { return partial() == 300_000 })
	fapwstest.Eventually(t, "the upload can go on", func() bool {
		return s.DialSend(fapwstest.Request("HEAD", c.location, "", tusVersion)).AnswerTo("HEAD").StatusCode == 200
	})
	w.Answer().Want(t, 409, "another request")
	w.Reset()
	s.Stop()

	c.s = fapwstest.Command{Script: "upload.py", Dir: dir}.Serve(t, fapwstest.Threads)
	n := c.offset(len(text))
	fapwstest.Equalf(t, n, 300_000, "after the restart, offset")
	c.ask("POST", c.location, text[n:n+100_000], "X-HTTP-Method-Override: PATCH", tusType,
		fmt.Sprintf("Upload-Offset: %d", n)).Want(t, 204)
	fapwstest.Equalf(t, len(contents(t, files)), 2, "files")
	a := c.patch(400_000, text[400_000:]).Want(t, 204).Field(t, "Upload-Offset", "700000")
	fapwstest.Truef(t, a.Text == "" && a.Header.Get("Content-Type") == "", "the answer has a body: %v %q", a.Header,
		a.Text)
	stored(t, files, map[string]string{"ü 1.bin": text})
	c.patch(700_000, "").Want(t, 404)
	w = c.s.DialSend(fapwstest.Request("HEAD", c.location, "", tusVersion))
	w.AnswerTo("HEAD").Want(t, 200).Field(t, "Upload-Offset", "700000", "Upload-Length", "700000")
}

func TestFinishedTusUploadIsKnownAfterAReload(t *testing.T) {
	t.Parallel()
	s, _ := serveUploads(t, fapwstest.Workers)
	c := &tusClient{s: s}
	c.create("/files", 5, "filename", "a").Want(t, 201)
	c.patch(0, "hello").Want(t, 204)
	old := s.Handlers()
	s.Control("reload")
	fapwstest.HaveEnded(t, "the old worker has ended", old...)
	for range 6 {
		w := s.DialSend(fapwstest.Request("HEAD", c.location, "", tusVersion))
		w.AnswerTo("HEAD").Want(t, 200).Field(t, "Upload-Offset", "5", "Upload-Length", "5")
	}
}

func TestTusRequestsThatViolateTheProtocolAreRejected(t *testing.T) {
	t.Parallel()
	s, dir := serveUploads(t, fapwstest.Threads)
	c := &tusClient{s: s}
	a := s.Ask(fapwstest.Request("OPTIONS", "/bare", "")).Want(t, 204)
	a.Field(t, "Tus-Version", "1.0.0", "Tus-Max-Size", "1048576", "Tus-Extension",
		"creation,creation-with-upload,termination,checksum,expiration")
	s.Ask(fapwstest.Request("POST", "/bare", "", "Tus-Resumable: 0.2.2", "Upload-Length: 1")).Want(t, 412).Field(t,
		"Tus-Version", "1.0.0")
	c.create("/bare", 1<<20+1, "filename", "a").Want(t, 413)
	c.create("/new", 1<<60, "filename", "a").Want(t, 507)
	c.create("/bare", 1, "filename", "../a").Want(t, 400, "slashes")
	c.create("/bare", 1).Want(t, 400, "no name")
	c.create("/bare", -1, "filename", "a").Want(t, 400, "Upload-Length")
	c.ask("POST", "/bare", "", "Upload-Length: 1", "Upload-Metadata: filename %").Want(t, 400, "Upload-Metadata")
	c.ask("POST", "/bare", "", "Upload-Length: 1", "Origin: https://evil.example").Want(t, 403)
	for _, id := range []string{"x", "..x", strings.Repeat("A", 26)} {
		c.ask("PATCH", "/bare/"+id, "x", tusType, "Upload-Offset: 0").Want(t, 404)
	}
	stored(t, filepath.Join(dir, "bare"), nil)
	stored(t, filepath.Join(dir, "new"), nil)

	c.create("/bare", 4, "filename", "a").Want(t, 201)
	c.ask("PATCH", c.location, "x", "Upload-Offset: 0").Want(t, 415)
	c.patch(0, "12345").Want(t, 413)
	c.ask("PUT", c.location, "x").Want(t, 405)
	c.ask("DELETE", c.location, "").Want(t, 204)
	c.ask("DELETE", c.location, "").Want(t, 404)
	stored(t, filepath.Join(dir, "bare"), nil)

	c.create("/bare", 0, "filename", "empty").Want(t, 201)
	c.create("/bare", 1, "filename", "wrong", "sha256", sum("2")).Want(t, 201)
	c.patch(0, "1").Want(t, 400, "SHA-256")
	c.ask("POST", "/one", "1234", "Upload-Length: 4", tusType).Want(t, 201).Field(t, "Upload-Offset", "4")
	got, _ := os.ReadFile(filepath.Join(dir, "one.bin"))
	fapwstest.Equalf(t, string(got), "1234", "one.bin")
	c.create("/new", 1, "filename", "b").Want(t, 201)
	s.Ask(fapwstest.Request("PUT", "/new/b", "2")).Want(t, 201)
	c.patch(0, "1").Want(t, 409)
	stored(t, filepath.Join(dir, "new"), map[string]string{"b": "2"})

	c.create("/bare", 1, "filename", "old").Want(t, 201)
	old := time.Now().Add(-25 * time.Hour)
	for _, name := range contents(t, filepath.Join(dir, "bare")) {
		fapwstest.Must(t, os.Chtimes(filepath.Join(dir, "bare", name), old, old))
	}
	c.patch(0, "1").Want(t, 404)
	c.create("/bare", 0, "filename", "next").Want(t, 201)
	stored(t, filepath.Join(dir, "bare"), map[string]string{"empty": "", "next": ""})
}

func TestPartialUploadByAnUnsupportedProtocolIsRejected(t *testing.T) {
	t.Parallel()
	s, dir := serveUploads(t, fapwstest.Threads)
	c := &tusClient{s: s}
	create := func(text string, fields ...string) {
		t.Helper()
		c.ask("POST", "/one", "", append(fields, "Upload-Length: 4")...).Want(t, 400, text)
		c.ask("POST", "/one", "1234", append(fields, "Upload-Length: 4", tusType)...).Want(t, 400, text)
	}
	create("concatenation", "Upload-Concat: partial")
	create("concatenation", "upload-concat: final;/one/a /one/b")
	create("creation-defer-length", "Upload-Defer-Length: 1")
	create("Upload-Expires", "Upload-Expires: Wed, 25 Jun 2031 16:00:00 GMT")
	create("UPLOAD-PART", "UPLOAD-PART: 1/3")
	create("Upload-Complete", "Upload-Complete: ?0")
	chunked := "POST /one HTTP/1.1\r\nHost: test\r\n" + tusVersion + "\r\n" + tusType + "\r\nUpload-Length: 4\r\n" +
		"Transfer-Encoding: chunked\r\nTrailer: Upload-Checksum\r\n\r\n4\r\n1234\r\n0\r\nUpload-Checksum: sha1 YQ==\r\n\r\n"
	s.Ask(chunked).Want(t, 400, "checksum-trailer")

	c.create("/one", 4).Want(t, 201)
	c.patch(0, "12", "Upload-Length: 2").Want(t, 400, "4 bytes")
	c.patch(0, "12", "Upload-Concat: partial").Want(t, 400, "concatenation")
	c.patch(0, "12", "Upload-Part: 1").Want(t, 400, "Upload-Part")
	c.patch(0, "12", "Upload-Length: 4").Want(t, 204)

	for _, field := range []string{"Upload-Complete: ?0", "Upload-Incomplete: ?1", "Upload-Offset: 4",
		"Upload-Length: 12", "Upload-Concat: partial"} {
		s.Ask(fapwstest.Request("POST", "/one", "1234", field)).Want(t, 400, strings.Fields(field)[0])
	}
	fapwstest.Truef(t, !fapwstest.Exists(filepath.Join(dir, "one.bin")), "a part was stored")
	s.Ask(fapwstest.Request("POST", "/one", "1234", "Upload-Complete: ?1", "Upload-Draft-Interop-Version: 6",
		"Upload-Length: 4")).Want(t, 201)
}

func TestTusClientUploadsAndContinuesAFile(t *testing.T) {
	t.Parallel()
	fapwstest.NeedModule(t, "tusclient")
	s, dir := serveUploads(t, fapwstest.Threads)
	text := random(300_000)
	name := fapwstest.Write(t, filepath.Join(t.TempDir(), "file.bin"), text)
	said, err := exec.Command(fapwstest.Python, fapwstest.Testdata(t, "tus_client.py"), s.URL+"/files", name, "100000").
		CombinedOutput()
	fapwstest.Truef(t, err == nil && string(said) == "100000\n300000\n", "%v: %s", err, said)
	stored(t, filepath.Join(dir, "files"), map[string]string{"by tuspy.bin": text})
}

// The server limits the number of unfinished uploads of each client.
func TestAnnouncedUploadTakesNoSpaceFromOtherClients(t *testing.T) {
	t.Parallel()
	s, dir := serveUploads(t, fapwstest.Threads, "--body-timeout", "1h", "--body-min-rate", "0")
	bare := filepath.Join(dir, "bare")
	partial := func() (path string, blocks int64) {
		puts, _ := filepath.Glob(filepath.Join(bare, ".fapws-*.part"))
		resumable, _ := filepath.Glob(filepath.Join(bare, ".fapws-*.tus"))
		all := append(puts, resumable...)
		if len(all) == 0 {
			return "", 0
		}
		return all[0], fapwstest.Try(os.Stat(all[0])).Must(t).Sys().(*syscall.Stat_t).Blocks
	}
	c := &tusClient{s: s}
	a := c.create("/bare", 1<<20, "filename", "a").Want(t, 201)
	path, blocks := partial()
	fapwstest.Truef(t, path != "" && blocks == 0, "an empty upload has %d blocks: %q", blocks, path)
	expires, err := time.Parse(time.RFC1123, a.Header.Get("Upload-Expires"))
	fapwstest.Truef(t, err == nil && time.Until(expires) <= 6*time.Minute, "an empty upload expires: %v, %v", expires, err)
	c.patch(0, "12345").Want(t, 204)
	old := time.Now().Add(-10 * time.Minute)
	fapwstest.Must(t, os.Chtimes(path, old, old))
	fapwstest.Equalf(t, c.offset(1<<20), 5, "offset")
	id := filepath.Base(c.location)
	if list := s.Get("/bare", 200).Text; !strings.Contains(list, `"state":"paused"`) || strings.Contains(list, id) {
		t.Errorf("the list has %s: %s", id, list)
	}
	c.ask("DELETE", c.location, "").Want(t, 204)
	c.create("/bare", 1, "filename", "b").Want(t, 201)
	path, _ = partial()
	fapwstest.Needf(t, os.Chtimes(path, old, old) == nil, "%q", path)
	c.patch(0, "1").Want(t, 404)

	w := s.DialSend("PUT /bare/c HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 1048576\r\n\r\n")
	r := w.Head("PUT")
	fapwstest.Needf(t, r.StatusCode == 100, "%q", r.Status)
	fapwstest.Eventually(t, "the upload has a file", func() bool {
		path, blocks = partial()
		return strings.HasSuffix(path, ".part")
	})
	fapwstest.Equalf(t, blocks, 0, "blocks of an upload of which nothing has come")
	w.Reset()

	created := 0
	for created < 101 && c.ask("POST", "/bare", "", "Upload-Length: 1",
		fmt.Sprintf("Upload-Metadata: filename %s", base64.StdEncoding.EncodeToString(fmt.Append(nil, "n", created)))).
		StatusCode == 201 {
		created++
	}
	fapwstest.Truef(t, created >= 10 && created <= 50, "one client has %d unfinished uploads", created)
	other := s.DialFrom("127.0.0.2")
	other.Send(fapwstest.Request("POST", "/bare", "", tusVersion, "Upload-Length: 1", "Upload-Metadata: filename YQ==",
		"Content-Length: 0"))
	other.Answer().Want(t, 201)
}

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
	request := fapwstest.Request("PUT", "/files/a?id=7", random(100_000))
	other.Send(request[:len(request)-50_000])
	shows := func(path, want string) bool { return one.Fetch(path).Want(t, 200).Text == `{"uploads":[`+want+"]}\n" }
	report := `{"id":"7","name":"a","received":%d,"size":100000,"state":"%s"}`
	fapwstest.Eventually(t, "the upload is seen", func() bool {
		return shows("/files", fmt.Sprintf(report, 50_000, "receiving"))
	})
	fapwstest.Truef(t, shows("/other", ""), "the upload is seen elsewhere")
	other.Ask(request[len(request)-50_000:]).Want(t, 201)
	fapwstest.Eventually(t, "its end is seen", func() bool {
		return shows("/files", fmt.Sprintf(report, 100_000, "stored"))
	})
	_, err := os.Stat(filepath.Join(dir, "files", "a"))
	fapwstest.Equal(t, err, nil)
}

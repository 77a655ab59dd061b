package runtime

import (
	"bytes"
	"fmt"

	"fapws/runtime/exchange"
	"fapws/runtime/source/refusal"
	"fapws/runtime/source/static"
)

// pageJob is for a response whose page is not in memory.
func (l *loop) pageJob(x *Exchange, r exchange.Reply) *fileJob {
	x.status = r.Status
	r.Fields = bytes.Clone(r.Fields)
	return &fileJob{
		resp:  l.responseTo(x),
		page:  &r,
		rules: x.rules,
	}
}

// openPage makes the page for j.page the answer, or what takes its place. It
// may wait for the disk.
func (j *fileJob) openPage() {
	if j.rules.errorPages().Open(j.page, &j.res) {
		fill(&j.resp, &j.res.Head)
		return
	}
	var h exchange.Head
	body := refusal.Fill(&h, j.page)
	if h.ContentType != "" { // where others look for it
		h.Fields = fmt.Appendf(bytes.Clone(h.Fields), "Content-Type: %s\r\n", h.ContentType)
		h.ContentType = ""
	}
	fill(&j.resp, &h)
	j.res.Segments = append(j.res.Segments[:0], static.Segment{Data: body})
}

// judge makes what files have answered the answer, or the page of the site when
// that is an error.
func (j *fileJob) judge() {
	if j.res.Head.Status < 400 {
		fill(&j.resp, &j.res.Head)
		return
	}
	r := refusal.OfFiles(&j.res, j.req.Parsed, j.req.Head)
	j.res.Close()
	r = j.rules.errorPages().Redirect(r)
	j.page = &r
	j.openPage()
}

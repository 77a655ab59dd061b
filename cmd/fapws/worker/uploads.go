package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"fapws/runtime/source/upload"
)

// QueryUploads asks the supervisor about uploads in the other workers: behind a space it has the number of the process that asks, and a
// question of upload.Group. The answer is []string in JSON, their answers to AskUploads with the question.
const (
	QueryUploads = "uploads"
	AskUploads   = "uploads"
)

// UploadsWithin is the time for the answer to QueryUploads: a worker that is busy is left out.
const UploadsWithin = time.Second

// newUploads returns the group of the uploads of new sites.
func (s *service) newUploads() *upload.Group {
	g := &upload.Group{Publish: s.announce, Others: s.host.uploads}
	s.uploads.Store(g)
	return g
}

func (a *alone) uploads(string) []string { return nil }

func (p *Parent) uploads(question string) (answers []string) {
	ctx, cancel := context.WithTimeout(context.Background(), UploadsWithin+time.Second)
	defer cancel()
	text, err := p.query(ctx, fmt.Sprintf("%s %d %s", QueryUploads, os.Getpid(), question))
	if err == nil {
		_ = json.Unmarshal([]byte(text), &answers) // a supervisor of another version knows none
	}
	return answers
}

// answerUploads answers AskUploads.
func (p *Parent) answerUploads(question string) string {
	if g := p.s.uploads.Load(); g != nil {
		return g.Answer(question)
	}
	return ""
}

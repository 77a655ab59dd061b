package system

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"fapws/runtime/checktest"
)

func TestDamagedWatchedFileIsReadOnceInAWhile(t *testing.T) {
	reads := 0
	w := Watched[string]{Path: filepath.Join(t.TempDir(), "watched"), Parse: func(text []byte) (*string, error) {
		if reads++; string(text) == "damaged" {
			return nil, errors.New("it is damaged")
		}
		value := string(text)
		return &value, nil
	}}
	checktest.Must(t, os.WriteFile(w.Path, []byte("good"), 0o600))
	checktest.Must(t, w.Refresh())
	for i, text := range []string{"damaged", "good again"} {
		checktest.Must(t, os.WriteFile(w.Path, []byte(text), 0o600))
		w.looked.Add(-int64(lookEvery))
		checktest.Truef(t, !w.Fresh(), "%q is not noticed", text)
		err := w.Refresh()
		checktest.Truef(t, (err != nil) == (text == "damaged"), "%q: %v", text, err)
		checktest.Truef(t, w.Fresh() && reads == i+2, "%q is read for each question: %d times", text, reads)
	}
	checktest.Equal(t, *w.Value(), "good again")
}

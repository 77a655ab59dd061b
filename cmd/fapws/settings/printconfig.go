package settings

import (
	"fmt"
	"io"
)

// WriteConfig writes the output of --print-config: a line for each setting with
// its value and the place that it comes from.
func (s *Settings) WriteConfig(w io.Writer) error {
	conf, err := s.Config()
	if err != nil {
		return err
	}
	for _, row := range s.rows {
		if row.sugar {
			continue
		}
		shown := row.value(&conf).String()
		if shown == "" {
			shown = "-"
		}
		if _, err := fmt.Fprintf(w, "%-25s %-20s %s\n", row.Name, shown, s.Source(row.Name)); err != nil {
			return err
		}
	}
	return nil
}

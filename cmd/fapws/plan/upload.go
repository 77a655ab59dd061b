package plan

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"fapws/cmd/fapws/settings"
	"fapws/runtime/live"
	"fapws/runtime/logfile"
	"fapws/runtime/sites"
	"fapws/runtime/source/upload"
)

// Upload is the key upload: a path, or a table.
type Upload struct {
	To        settings.KeyPath `key:"to"`
	MaxSize   Size             `key:"max-size"` // 0: defaultUpload
	MaxActive int              `key:"max-active"`
	Sync      Sync             `key:"sync"`
	Replace   *bool            `key:"replace"`
	Mode      string           `key:"mode"` // octal digits
	Channel   string           `key:"channel"`
	Resumable *bool            `key:"resumable"`
	Expires   Duration         `key:"expires"`
	Origins   []string         `key:"origins"`

	mode uint32
}

// defaultUpload is the largest upload, in bytes, of a route that does not say; as in contrib/fapws/_upload.py.
const defaultUpload = 1 << 30

// FromFile implements settings.TableReader.
func (u *Upload) FromFile(v settings.TOMLValue) error {
	given, isTable := v.Any.(*settings.TOMLTable)
	if !isTable {
		if u.To.FromFile(v) != nil {
			return errors.New("a directory, the path of a file, or a table with to, max-size, max-active, sync, replace, mode, channel, resumable, expires, origins")
		}
		return nil
	}
	if err := table(given, u); err != nil {
		return err
	}
	mode, err := strconv.ParseUint(u.Mode, 8, 32)
	switch u.mode = uint32(mode); {
	case u.To == "":
		return errors.New(`a table with to, such as { to = "/data/firmware.bin" }`)
	case u.Mode != "" && (err != nil || mode == 0 || mode > 0o777):
		return errors.New(`a table whose mode has octal digits, such as "0644"`)
	case u.MaxActive < 0 || u.MaxActive > 1000:
		return errors.New("a table whose max-active is 1 to 1000")
	case u.Channel != "" && live.CheckChannelName(u.Channel) != nil:
		return fmt.Errorf("a table whose channel is the name of one, not %q", u.Channel)
	}
	return nil
}

// Sync is the key sync of upload: "end", "none", or a number of bytes.
type Sync int64

// FromFile implements settings.TableReader.
func (s *Sync) FromFile(v settings.TOMLValue) error {
	switch text, _ := v.Any.(string); {
	case text == "end":
		*s = upload.SyncEnd
		return nil
	case text == "none":
		*s = upload.SyncNone
		return nil
	}
	var n Size
	if n.FromFile(v) != nil {
		return errors.New(`"end", "none", or a number of bytes such as "4M"`)
	}
	*s = Sync(n)
	return nil
}

// upload mounts a place for uploads.
func (b *builder) upload(_ *Host, r *Route) []sites.Mount {
	given := &r.Upload
	o := upload.Options{
		Path:      string(given.To),
		MaxSize:   int64(given.MaxSize),
		MaxActive: given.MaxActive,
		Sync:      int64(given.Sync),
		Replace:   given.Replace == nil || *given.Replace,
		Mode:      given.mode,
		Channel:   given.Channel,
		Resumable: given.Resumable == nil || *given.Resumable,
		Expires:   time.Duration(given.Expires).Seconds(),
		Origins:   given.Origins,
		Root:      b.parts.Conf.Chroot,
		Group:     b.parts.Uploads,
		Log:       b.clientLog(logfile.Error),
	}
	if o.MaxSize == 0 {
		o.MaxSize = defaultUpload
	}
	to, err := upload.New(o)
	if err != nil {
		b.wrong(r.At.Errorf("upload", "%v", err))
		return nil
	}
	mounts := b.responder(r, to)
	mounts[0].Streams, mounts[0].Asks = true, true
	return mounts
}

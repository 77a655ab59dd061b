package refusal

import (
	"fmt"
	"time"

	"fapws/runtime/exchange"
)

// PageWait is how long a browser waits for a page before it gets Starting. Most applications load in less.
const PageWait = time.Second

// Starting is the answer to a browser while the application of its site loads, which it has done for so long: a page that asks
// again after a second. It needs no JavaScript and nothing from anywhere.
func Starting(since time.Duration) exchange.Reply {
	seconds := "1 second"
	if n := int(since.Seconds()); n > 1 {
		seconds = fmt.Sprintf("%d seconds", n)
	}
	page := `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
		`<meta http-equiv="refresh" content="1"><title>Starting</title><style>` + pageStyle + `progress{width:100%}</style></head>` +
		`<body><h1>Starting</h1><progress aria-label="starting"></progress><p>This site has been starting for ` + seconds +
		`. It opens here by itself as soon as it is ready.</p></body></html>` + "\n"
	return exchange.Reply{Status: 503, Body: []byte(page), Type: htmlType, Fields: startingFields, Whole: true, Override: true}
}

var startingFields = []byte("Retry-After: 1\r\nCache-Control: no-store\r\n")

package http1

const helloRequest = "GET / HTTP/1.1\r\nHost: localhost:8888\r\n\r\n"

const wrkRequest = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8888\r\nUser-Agent: wrk/4.1.0\r\nAccept: */*\r\n\r\n"

const browserRequest = "GET /articles/2024/view?id=42&lang=en HTTP/1.1\r\n" +
	"Host: www.example.org\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Referer: https://www.example.org/articles/2024/index\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=yes\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"Sec-Fetch-Dest: document\r\n" +
	"Sec-Fetch-Mode: navigate\r\n" +
	"Sec-Fetch-Site: same-origin\r\n\r\n"

const postRequest = "POST /submit HTTP/1.1\r\nHost: localhost:8888\r\nContent-Type: " +
	"application/json\r\nContent-Length: 4096\r\n\r\n"

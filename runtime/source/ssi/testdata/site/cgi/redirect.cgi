#!/bin/sh
printf 'Status: 302\r\nLocation: http://example.org/\r\nContent-Type: text/plain\r\n\r\n'
echo elsewhere

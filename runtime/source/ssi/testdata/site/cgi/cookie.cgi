#!/bin/sh
printf 'Content-Type: text/plain\r\nSet-Cookie: a=b\r\n\r\n'
echo cookie

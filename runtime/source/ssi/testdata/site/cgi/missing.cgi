#!/bin/sh
printf 'Status: 404\r\nContent-Type: text/plain\r\n\r\n'
echo not here

#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
echo "$REQUEST_METHOD ${SCRIPT_NAME##*/} [$QUERY_STRING] [$PATH_INFO]"

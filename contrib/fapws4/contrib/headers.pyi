from fapws.contrib.headers import redirect as redirect, rfc1123_date as rfc1123_date

from fapws import HTTPError as HTTPError

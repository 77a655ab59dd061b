NAME = "beside the second"

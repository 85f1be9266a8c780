[GhostLLM]
title=GhostLLM
description=OpenAI's API over HTTP/1.1, HTTP/2 and HTTP/3
ports=11443

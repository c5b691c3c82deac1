local tags = {}
function tags.run(msg, vctx)
  local list = {}
  for word in (msg:header("X-Tags")[1] or ""):gmatch("[^,%s]+") do list[#list + 1] = word end
  if #list > 0 then vctx:set(msys.core.VCTX_MESS, "smtpapi_tags", tostring(json.encode(list))) end
end
return tags

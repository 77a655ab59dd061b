(()=>{
const d=document,m=d.querySelector("main"),o=d.querySelector("#out"),s=d.querySelector("#state");
let busy=0,looked=0;
const say=t=>{s.textContent=t};
const look=async()=>{
if(busy||d.hidden)return;
busy=1;looked=Date.now();
try{
const r=await fetch("live",{cache:"no-store"});
if(!r.ok)throw 0;
const l=m.querySelector("pre.log"),end=!l||l.scrollTop+l.clientHeight>=l.scrollHeight-4,top=l?l.scrollTop:0;
m.innerHTML=await r.text();
const n=m.querySelector("pre.log");
if(n)n.scrollTop=end?n.scrollHeight:top;
say("live")
}catch(e){say("no answer; trying again")}
busy=0};
const hear=()=>{
const e=new EventSource("events");
e.onmessage=look;
e.onerror=()=>{say("no answer; trying again");if(e.readyState==2)setTimeout(hear,5000)}};
d.addEventListener("visibilitychange",look);setInterval(()=>{if(Date.now()-looked>1900)look()},500);
for(const f of d.forms)f.addEventListener("submit",async e=>{
e.preventDefault();
const b=f.querySelector("button");
b.disabled=true;o.hidden=false;o.textContent="…";
try{
const r=await fetch(f.action,{method:"POST"}),t=await r.text();
if(!r.ok)throw t;
if(/html/.test(r.headers.get("Content-Type")))o.innerHTML=t;
else{o.innerHTML="<pre></pre>";o.firstChild.textContent=t}
}catch(e){o.textContent="failed: "+(e.message||e)}
const c=d.createElement("button");
c.textContent="Close";c.onclick=()=>{o.hidden=true};o.prepend(c);
b.disabled=false});
hear();look()})();
